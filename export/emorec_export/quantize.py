"""FP32 graph and ranges to a graph with explicit Q/DQ nodes: the one form that every backend reads.

Each quantised product gets its activation through QuantizeLinear and DequantizeLinear (one pair for a tensor,
however many read it) and its weight as int8 through DequantizeLinear. Zero points are int8 zeros, scales are
positive, per channel for weights only: TensorRT's rules, which onnxruntime and OpenVINO share.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from emorec_calib.errors import CalibrationError
from emorec_calib.ranges import Range
from emorec_export.recipe import CPU_OPS, quantised
from emorec_export.tidy import sign

INT8_MAX: Final = 127
"""Symmetric: -128 is not used, so that zero is exact and a sign change loses nothing."""

SMALLEST_SCALE: Final = 1e-8
"""For a channel or an activation that is all zeros: scales have to be positive."""


def quantize(
    model: ModelProto, ranges: dict[str, Range], ops: frozenset[str] = CPU_OPS
) -> tuple[ModelProto, int]:
    """Make the INT8 variant of a graph.

    Args:
        model: The FP32 graph; it is not changed.
        ranges: Range of each activation that a quantised node reads, by tensor name.
        ops: Operators to quantise, see ``recipe``.

    Returns:
        The new graph, and how many nodes are quantised in it.

    Raises:
        CalibrationError: A range is missing.
    """
    result = ModelProto()
    result.CopyFrom(model)
    weights = {value.name: value for value in model.graph.initializer}
    chosen = [node for node in result.graph.node if quantised(node, frozenset(weights), ops)]
    editor = _Editor(result, weights, ranges)
    for node in chosen:
        node.input[0] = editor.activation(node.input[0])
        node.input[1] = editor.weight(node.input[1], _channel_axis(node))
    editor.finish()
    sign(result)
    return result, len(chosen)


@dataclass
class _Editor:
    """Adds Q/DQ nodes and int8 weights to a graph."""

    model: ModelProto
    weights: dict[str, TensorProto]
    ranges: dict[str, Range]
    _activations: dict[str, list[NodeProto]] = field(default_factory=dict)
    _weight_nodes: dict[tuple[str, int], NodeProto] = field(default_factory=dict)

    def activation(self, tensor: str) -> str:
        """Put a Q/DQ pair behind a tensor; return the name of what comes out of it."""
        if tensor not in self._activations:
            if tensor not in self.ranges:
                raise CalibrationError(f"the ranges say nothing about {tensor}; collect them again")
            scale = np.float32(max(self.ranges[tensor].magnitude / INT8_MAX, SMALLEST_SCALE))
            tail = self._parameters(tensor, np.asarray(scale), np.zeros((), np.int8))
            self._activations[tensor] = [
                helper.make_node(
                    "QuantizeLinear", [tensor, *tail], [f"{tensor}.int8"], name=f"{tensor}/Quantize"
                ),
                helper.make_node(
                    "DequantizeLinear",
                    [f"{tensor}.int8", *tail],
                    [f"{tensor}.back"],
                    name=f"{tensor}/Dequantize",
                ),
            ]
        return f"{tensor}.back"

    def weight(self, tensor: str, axis: int) -> str:
        """Store a weight as int8 behind a DequantizeLinear; return the name of what comes out of it."""
        if (tensor, axis) not in self._weight_nodes:
            values, scales = quantize_weight(numpy_helper.to_array(self.weights[tensor]), axis)
            self._add(f"{tensor}.int8", values)
            tail = self._parameters(tensor, scales, np.zeros(scales.shape, np.int8))
            self._weight_nodes[tensor, axis] = helper.make_node(
                "DequantizeLinear",
                [f"{tensor}.int8", *tail],
                [f"{tensor}.back"],
                name=f"{tensor}/Dequantize",
                axis=axis,
            )
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

    def _parameters(self, tensor: str, scale: NDArray[Any], zero: NDArray[Any]) -> list[str]:
        names = [f"{tensor}.scale", f"{tensor}.zero"]
        self._add(names[0], scale)
        self._add(names[1], zero)
        return names

    def _add(self, name: str, values: NDArray[Any]) -> None:
        self.model.graph.initializer.append(numpy_helper.from_array(values, name))


def quantize_weight(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8 with one scale for each index of ``axis``.

    Returns:
        int8 values of the weight's shape, and float32 scales, one a channel.
    """
    others = tuple(dim for dim in range(weight.ndim) if dim != axis)
    scales = np.maximum(np.abs(weight).max(axis=others) / INT8_MAX, SMALLEST_SCALE).astype(np.float32)
    shape = [-1 if dim == axis else 1 for dim in range(weight.ndim)]
    values = np.clip(np.rint(weight / scales.reshape(shape)), -INT8_MAX, INT8_MAX)
    return values.astype(np.int8), scales


def _channel_axis(node: NodeProto) -> int:
    """Axis of the output channels in a node's weight."""
    if node.op_type == "MatMul":
        return 1  # [K, N]
    if node.op_type == "Gemm":
        transposed = next((attribute.i for attribute in node.attribute if attribute.name == "transB"), 0)
        return 0 if transposed else 1
    return 0  # Conv [out, in, ...]


def count_quantized(model: onnx.ModelProto) -> int:
    """Nodes that read a weight through a DequantizeLinear."""
    behind = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    return sum(len(node.input) > 1 and node.input[1] in behind for node in model.graph.node)
