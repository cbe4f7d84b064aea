"""FP32 graph and ranges to a graph with explicit Q/DQ nodes: the one form that every backend reads.

Each quantised product gets its activation through QuantizeLinear and DequantizeLinear (one pair for a tensor,
however many read it) and its weight as int8 or E4M3 through DequantizeLinear. Zero points are zeros, scales
are positive, per channel for weights only: TensorRT's rules, which onnxruntime and OpenVINO share.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from ml_dtypes import float8_e4m3fn
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from emorec_calib.errors import CalibrationError
from emorec_calib.ranges import GraphRanges, Range
from emorec_export.recipe import ALL_OPS, Recipe, quantised
from emorec_export.smooth import smooth
from emorec_export.tidy import sign

INT8_MAX: Final = 127
"""Symmetric: -128 is not used, so that zero is exact and a sign change loses nothing."""

FP8_MAX: Final = 448
"""Largest finite E4M3."""

SMALLEST_SCALE: Final = 1e-8
"""For a channel or an activation that is all zeros: scales have to be positive."""

SMALLEST_HALF_SCALE: Final = float(np.finfo(np.float16).smallest_normal)
"""6.1e-5: below, an FP16 scale loses its digits and then becomes zero, which TensorRT rejects."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A kind of small numbers.

    Attributes:
        type: ONNX's code of the element type.
        largest: Largest magnitude.
        per_channel: Whether weights have a scale for each output channel. With E4M3 one a tensor will do:
            its precision is relative.
        encode: From values in units of the scale to stored elements.
    """

    type: int
    largest: int
    per_channel: bool
    encode: Callable[[NDArray[Any]], NDArray[Any]]


def _encode_int8(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.clip(np.rint(values), -INT8_MAX, INT8_MAX), np.int8)


def _encode_fp8(values: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(np.clip(values, -FP8_MAX, FP8_MAX), float8_e4m3fn)


INT8: Final = Numbers(TensorProto.INT8, INT8_MAX, per_channel=True, encode=_encode_int8)
FP8: Final = Numbers(TensorProto.FLOAT8E4M3FN, FP8_MAX, per_channel=False, encode=_encode_fp8)
_NUMBERS: Final = {"int8": INT8, "fp8": FP8}


def candidates(model: ModelProto, recipe: Recipe) -> list[str]:
    """Names of the nodes that a recipe would quantise, in the order of the graph."""
    weights = frozenset(value.name for value in model.graph.initializer)
    return [node.name for node in model.graph.node if quantised(node, weights, recipe.ops)]


def quantize(
    model: ModelProto, ranges: GraphRanges, recipe: Recipe, keep: frozenset[str] = frozenset()
) -> ModelProto:
    """Quantise a graph; everything else stays FP32.

    Args:
        model: The FP32 graph; it is not changed.
        ranges: What was observed on it.
        recipe: What to quantise, to what. For a recipe with FP16, scales are numbers that FP16 has too.
        keep: Names of nodes that stay in floating point besides.

    Returns:
        The new graph.

    Raises:
        CalibrationError: A range is missing.
    """
    if recipe.numbers is None:
        raise ValueError("the recipe quantises nothing")
    chosen = [name for name in candidates(model, recipe) if name not in keep]
    result, found = smooth(model, ranges, chosen, recipe.alpha) if recipe.alpha else (_copy(model), None)
    editor = _Editor(result, found or ranges.tensors, _NUMBERS[recipe.numbers], half=recipe.half)
    names = frozenset(chosen)
    for node in result.graph.node:
        if node.name in names:
            node.input[0] = editor.activation(node.input[0])
            node.input[1] = editor.weight(node.input[1], _channel_axis(node))
    editor.finish()
    sign(result)
    return result


def _copy(model: ModelProto) -> ModelProto:
    result = ModelProto()
    result.CopyFrom(model)
    return result


@dataclass
class _Editor:
    """Adds Q/DQ nodes and quantised weights to a graph."""

    model: ModelProto
    ranges: dict[str, Range]
    numbers: Numbers
    half: bool
    _weights: dict[str, TensorProto] = field(init=False)
    _activations: dict[str, list[NodeProto]] = field(default_factory=dict)
    _weight_nodes: dict[tuple[str, int], NodeProto] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._weights = {value.name: value for value in self.model.graph.initializer}

    def activation(self, tensor: str) -> str:
        """Put a Q/DQ pair behind a tensor; return the name of what comes out of it."""
        if tensor not in self._activations:
            if tensor not in self.ranges:
                raise CalibrationError(f"the ranges say nothing about {tensor}; collect them again")
            scale = np.asarray(self.ranges[tensor].magnitude / self.numbers.largest, np.float32)
            tail = self._parameters(tensor, usable_scale(scale, half=self.half))
            self._activations[tensor] = [
                helper.make_node(
                    "QuantizeLinear", [tensor, *tail], [f"{tensor}.quantized"], name=f"{tensor}/Quantize"
                ),
                helper.make_node(
                    "DequantizeLinear",
                    [f"{tensor}.quantized", *tail],
                    [f"{tensor}.back"],
                    name=f"{tensor}/Dequantize",
                ),
            ]
        return f"{tensor}.back"

    def weight(self, tensor: str, axis: int) -> str:
        """Store a weight quantised behind a DequantizeLinear; return the name of what comes out of it."""
        if (tensor, axis) not in self._weight_nodes:
            weight = numpy_helper.to_array(self._weights[tensor])
            values, scales = quantize_weight(weight, axis, self.numbers, half=self.half)
            self._add(f"{tensor}.quantized", values, self.numbers.type)
            tail = self._parameters(tensor, scales)
            node = helper.make_node(
                "DequantizeLinear",
                [f"{tensor}.quantized", *tail],
                [f"{tensor}.back"],
                name=f"{tensor}/Dequantize",
            )
            if scales.ndim:
                node.attribute.append(helper.make_attribute("axis", axis))
            self._weight_nodes[tensor, axis] = node
        return f"{tensor}.back"

    def finish(self) -> None:
        """Put the new nodes where the graph's order wants them, and drop weights that nothing reads."""
        graph = self.model.graph
        nodes: list[NodeProto] = list(self._weight_nodes.values())
        waiting = dict(self._activations)
        for value in graph.input:
            nodes.extend(waiting.pop(value.name, ()))
        for node in graph.node:
            nodes.append(node)
            for output in node.output:
                nodes.extend(waiting.pop(output, ()))
        copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)
        read = {tensor for node in graph.node for tensor in node.input}
        kept = [value for value in graph.initializer if value.name in read]
        kept = [TensorProto.FromString(value.SerializeToString()) for value in kept]
        del graph.initializer[:]
        graph.initializer.extend(kept)

    def _parameters(self, tensor: str, scale: NDArray[np.float32]) -> list[str]:
        names = [f"{tensor}.scale", f"{tensor}.zero"]
        self._add(names[0], scale, TensorProto.FLOAT)
        self._add(names[1], self.numbers.encode(np.zeros(scale.shape)), self.numbers.type)
        return names

    def _add(self, name: str, values: NDArray[Any], kind: int) -> None:
        value = helper.make_tensor(name, kind, values.shape, np.ascontiguousarray(values).tobytes(), raw=True)
        self.model.graph.initializer.append(value)


def usable_scale(scale: NDArray[np.float32], *, half: bool) -> NDArray[np.float32]:
    """A scale that is positive and, for an FP16 graph, has an exact counterpart there."""
    if not half:
        return np.asarray(np.maximum(scale, SMALLEST_SCALE), np.float32)
    return np.maximum(scale, SMALLEST_HALF_SCALE).astype(np.float16).astype(np.float32)


def quantize_weight(
    weight: NDArray[np.float32], axis: int, numbers: Numbers = INT8, *, half: bool = False
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """Symmetric quantisation with one scale for each index of ``axis``, or one for all.

    Returns:
        Elements of the weight's shape, and float32 scales: one a channel, or of shape ``[]``.
    """
    others = tuple(dim for dim in range(weight.ndim) if dim != axis) if numbers.per_channel else None
    scales = usable_scale(np.abs(weight).max(axis=others) / numbers.largest, half=half)
    shape = [-1 if dim == axis else 1 for dim in range(weight.ndim)] if numbers.per_channel else []
    return numbers.encode(weight / scales.reshape(shape)), scales


def _channel_axis(node: NodeProto) -> int:
    """Axis of the output channels in a node's weight."""
    if node.op_type == "MatMul":
        return 1  # [K, N]
    if node.op_type == "Gemm":
        transposed = next((attribute.i for attribute in node.attribute if attribute.name == "transB"), 0)
        return 0 if transposed else 1
    return 0  # Conv [out, in, ...]


def count_quantized(model: onnx.ModelProto) -> int:
    """Nodes whose activation and weight both come out of a DequantizeLinear."""
    return len(quantised_nodes(model))


def quantised_nodes(model: onnx.ModelProto) -> list[str]:
    """Their names."""
    behind = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return [node.name for node in model.graph.node if len(node.input) > 1 and set(node.input[:2]) <= behind]


def count_products(model: onnx.ModelProto) -> int:
    """Products with weights, quantised or not."""
    stored = {value.name for value in model.graph.initializer}
    for node in model.graph.node:  # what is made of stored values alone is stored, too
        if node.op_type in {"DequantizeLinear", "Cast", "Mul"} and set(node.input) <= stored:
            stored.add(node.output[0])
    return sum(node.op_type in ALL_OPS and node.input[1] in stored for node in model.graph.node)
