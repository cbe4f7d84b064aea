"""FP32 graph to FP16-typed graph: the types are in the graph, so every backend does the same.

What ``recipe`` wants in FP32 stays there between explicit casts; inputs and outputs keep the types that the
manifest promises. Works on plain graphs and on graphs with Q/DQ, whose scales become FP16 too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from emorec_export.recipe import high_precision
from emorec_export.tidy import sign

LARGEST: Final = float(np.finfo(np.float16).max)

HEADROOM: Final = 8.0
"""Distance that real data has to keep from FP16's largest number: other people are louder than the sample."""

_FLOAT, _HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def to_half(model: ModelProto, magnitudes: Mapping[str, float]) -> ModelProto:
    """Make a graph FP16 where that is safe.

    Args:
        model: A graph of FP32 tensors, with or without Q/DQ; it is not changed.
        magnitudes: Largest magnitude of each activation on real data; a node that reads or makes one which
            comes near FP16's limit stays FP32.

    Returns:
        The new graph; its inputs and outputs are those of ``model``.
    """
    inferred = onnx.shape_inference.infer_shapes(model)
    wide = wide_nodes(inferred, magnitudes)
    converter = _Converter(inferred, wide)
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    for part in (graph.node, graph.initializer, graph.value_info):
        del part[:]
    graph.node.extend(converter.convert())
    graph.initializer.extend(converter.initializers())
    sign(result)
    return result


def wide_nodes(model: ModelProto, magnitudes: Mapping[str, float]) -> frozenset[str]:
    """Names of the nodes that stay FP32."""
    weights = {value.name: value for value in model.graph.initializer}
    loud = {tensor for tensor, value in magnitudes.items() if value > LARGEST / HEADROOM}
    loud |= {name for name, value in weights.items() if _overflows(value)}
    feeds_softmax = _read_by_softmax_alone(model)
    return frozenset(
        node.name
        for node in model.graph.node
        if high_precision(node)
        or (node.op_type == "Add" and node.output[0] in feeds_softmax)
        or loud & {*node.input, *node.output}
    )


def _read_by_softmax_alone(model: ModelProto) -> set[str]:
    readers: dict[str, set[str]] = {}
    for node in model.graph.node:
        for tensor in node.input:
            readers.setdefault(tensor, set()).add(node.op_type)
    return {tensor for tensor, kinds in readers.items() if kinds == {"Softmax"}}


def _overflows(value: TensorProto) -> bool:
    if value.data_type != _FLOAT:
        return False
    return bool(np.abs(numpy_helper.to_array(value)).max(initial=0.0) > LARGEST)


@dataclass
class _Converter:
    """Walks a graph in order and gives each node its tensors in the type that it wants."""

    model: ModelProto
    wide: frozenset[str]
    _nodes: list[NodeProto] = field(default_factory=list)
    _types: dict[str, int] = field(default_factory=dict)
    _made: dict[tuple[str, int], str] = field(default_factory=dict)
    _weights: dict[str, TensorProto] = field(default_factory=dict)
    _stored: dict[str, TensorProto] = field(default_factory=dict)
    _outputs: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        graph = self.model.graph
        self._outputs = frozenset(value.name for value in graph.output)
        for value in (*graph.input, *graph.output, *graph.value_info):
            self._types[value.name] = value.type.tensor_type.elem_type
        self._weights = {value.name: value for value in graph.initializer}
        self._types |= {name: value.data_type for name, value in self._weights.items()}
        for value in graph.input:
            self._made[value.name, self._types[value.name]] = value.name

    def convert(self) -> list[NodeProto]:
        """All nodes, casts included."""
        for original in self.model.graph.node:
            node = NodeProto.FromString(original.SerializeToString())
            kind = _FLOAT if node.name in self.wide else _HALF
            node.input[:] = [self._as(tensor, kind) for tensor in node.input]
            self._nodes.append(node)
            if node.op_type == "Cast" and node.attribute[0].i == _FLOAT:
                node.attribute[0].i = kind
            for index, tensor in enumerate(node.output):
                if self._types.get(tensor) == _FLOAT:
                    node.output[index] = self._give(tensor, kind)
        return self._nodes

    def _give(self, tensor: str, kind: int) -> str:
        """The name under which a node gives a tensor; the graph's outputs are cast back to FP32."""
        if tensor not in self._outputs or kind == _FLOAT:
            self._made[tensor, kind] = tensor
            return tensor
        name = f"{tensor}.half"
        self._made[tensor, kind] = name
        self._made[tensor, _FLOAT] = tensor
        self._cast(name, tensor, _FLOAT)
        return name

    def initializers(self) -> list[TensorProto]:
        """The constants that the converted nodes read."""
        return list(self._stored.values())

    def _as(self, tensor: str, kind: int) -> str:
        """The name under which a tensor can be read in a type; casts it if nobody has yet."""
        if tensor in self._weights:
            return self._constant(self._weights[tensor], kind)
        if self._types.get(tensor) != _FLOAT:
            return tensor
        if (tensor, kind) not in self._made:
            other = self._made[tensor, _HALF if kind == _FLOAT else _FLOAT]
            name = f"{tensor}.{'float' if kind == _FLOAT else 'half'}"
            self._cast(other, name, kind)
            self._made[tensor, kind] = name
        return self._made[tensor, kind]

    def _cast(self, source: str, target: str, kind: int) -> None:
        self._nodes.append(helper.make_node("Cast", [source], [target], name=f"{target}/Cast", to=kind))

    def _constant(self, value: TensorProto, kind: int) -> str:
        if value.data_type != _FLOAT or kind == _FLOAT:
            self._stored[value.name] = value
            return value.name
        name = f"{value.name}.half"
        if name not in self._stored:
            self._stored[name] = numpy_helper.from_array(_halved(numpy_helper.to_array(value)), name)
        return name


def _halved(values: NDArray[np.float32]) -> NDArray[np.float16]:
    return values.astype(np.float16)
