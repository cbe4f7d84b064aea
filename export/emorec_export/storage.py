"""Weights that stay in floating point, in less room: stored small, FP32 again before anything is computed.

Both forms are a ``Cast`` or a ``DequantizeLinear`` on constants: the file is smaller, and nothing is computed
differently.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from emorec_export.quantize import quantize_weight
from emorec_export.recipe import ALL_OPS, rounded_storage

LEAST_ELEMENTS: Final = 1 << 16
"""Smaller weights aren't worth a node."""

HALF_MAX: Final = float(np.finfo(np.float16).max)


def store_small(model: ModelProto) -> None:
    """Store the FP32 weights of products as FP16, or as INT8 where the recipe says so.

    Args:
        model: It is changed.
    """
    read = [name for node in model.graph.node for name in node.input]
    stored = {value.name: value for value in model.graph.initializer}
    nodes: list[NodeProto] = []
    for node in [node for node in model.graph.node if node.op_type in ALL_OPS]:
        value = stored.get(node.input[1])
        if value is None or value.data_type != TensorProto.FLOAT or read.count(value.name) > 1:
            continue
        weight = np.asarray(numpy_helper.to_array(value), np.float32)
        if weight.size < LEAST_ELEMENTS or np.abs(weight).max() > HALF_MAX:
            continue
        rounded = node.op_type == "Conv" and rounded_storage(node)
        nodes += _as_int8(model, value, weight) if rounded else _as_half(model, value, weight)
        model.graph.initializer.remove(value)
    for node in reversed(nodes):
        model.graph.node.insert(0, node)


def _as_half(model: ModelProto, value: TensorProto, weight: NDArray[np.float32]) -> Iterator[NodeProto]:
    name = f"{value.name}.half"
    model.graph.initializer.append(numpy_helper.from_array(weight.astype(np.float16), name))
    yield helper.make_node("Cast", [name], [value.name], name=f"{value.name}/Cast", to=TensorProto.FLOAT)


def _as_int8(model: ModelProto, value: TensorProto, weight: NDArray[np.float32]) -> Iterator[NodeProto]:
    """One scale for each output channel, the first axis of a convolution's weight."""
    numbers, scales = quantize_weight(weight, 0)
    parts = {"numbers": numbers, "scales": scales, "zeros": np.zeros(scales.shape, np.int8)}
    names = [f"{value.name}.{part}" for part in parts]
    model.graph.initializer.extend(map(numpy_helper.from_array, parts.values(), names))
    # TensorRT takes INT8 constants from a DequantizeLinear alone.
    yield helper.make_node("DequantizeLinear", names, [value.name], name=f"{value.name}/Dequantize", axis=0)
