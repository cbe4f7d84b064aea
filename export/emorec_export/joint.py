"""Joint projections of queries, keys and values taken apart again, for TensorRT's INT8.

TensorRT keeps the product of a joint projection that is split afterwards in floating point and turns its
INT8 weights back at every run. As products of their own, which share the activation's Q/DQ pair, all of them
run in INT8, and the builder joins what it likes. The parts are slices of the quantised weights, so outputs
are equal to the last bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from emorec_export.tidy import sign


@dataclass(frozen=True, slots=True)
class _Joint:
    """A quantised product, its bias, and the split behind it."""

    dequantise: NodeProto
    product: NodeProto
    add: NodeProto
    split: NodeProto


def split_joint(model: ModelProto) -> ModelProto:
    """Take every quantised ``MatMul``, ``Add`` and ``Split`` apart, into products of their own.

    Args:
        model: A graph with Q/DQ; it is not changed.

    Returns:
        The new graph; what isn't quantised, or has other readers, stays as it is.
    """
    result = ModelProto()
    result.CopyFrom(model)
    graph = result.graph
    stored = {value.name: value for value in graph.initializer}
    for joint in list(_joints(result)):
        position = list(graph.node).index(joint.product)
        nodes, constants = _parts(joint, stored)
        graph.initializer.extend(constants)
        for node in (joint.dequantise, joint.product, joint.add, joint.split):
            graph.node.remove(node)
        for node in reversed(nodes):
            graph.node.insert(position - 1, node)
    _drop_unread(result)
    sign(result)
    return result


def _joints(model: ModelProto) -> Iterator[_Joint]:
    makers = {output: node for node in model.graph.node for output in node.output}
    readers: dict[str, int] = {}
    for node in model.graph.node:
        for tensor in node.input:
            readers[tensor] = readers.get(tensor, 0) + 1
    for split in model.graph.node:
        add = makers.get(split.input[0]) if split.op_type == "Split" else None
        product = _only_maker(add, "MatMul", makers)
        if add is None or add.op_type != "Add" or product is None:
            continue
        weight = makers.get(product.input[1])
        single = all(readers[tensor] == 1 for tensor in (add.output[0], product.output[0], product.input[1]))
        if single and weight is not None and weight.op_type == "DequantizeLinear" and len(weight.input) == 3:
            yield _Joint(weight, product, add, split)


def _only_maker(node: NodeProto | None, kind: str, makers: dict[str, NodeProto]) -> NodeProto | None:
    found = [makers[name] for name in (node.input if node else ()) if name in makers]
    return found[0] if len(found) == 1 and found[0].op_type == kind else None


def _parts(joint: _Joint, stored: dict[str, TensorProto]) -> tuple[list[NodeProto], list[TensorProto]]:
    """The nodes of all parts, and their constants."""
    weight, scales, zeros = (numpy_helper.to_array(stored[name]) for name in joint.dequantise.input)
    bias_name = next(name for name in joint.add.input if name in stored)
    bias = numpy_helper.to_array(stored[bias_name])
    nodes: list[NodeProto] = []
    constants: list[TensorProto] = []
    start = 0
    for index, output in enumerate(joint.split.output):
        stop = start + weight.shape[1] // len(joint.split.output)
        part = slice(start, stop)
        start = stop
        names = [f"{name}.{index}" for name in (*joint.dequantise.input, bias_name)]
        arrays = (weight[:, part], _of_channels(scales, part), _of_channels(zeros, part), bias[..., part])
        for name, array in zip(names, arrays, strict=True):
            constants.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        nodes += _part(joint, index, names, output)
    return nodes, constants


def _of_channels(values: NDArray[Any], part: slice) -> NDArray[Any]:
    """One value for each channel is sliced, one for all stays."""
    return values[part] if values.ndim else values


def _part(joint: _Joint, index: int, names: list[str], output: str) -> list[NodeProto]:
    *quantised, bias = names
    back, product = f"{joint.dequantise.output[0]}.{index}", f"{joint.product.output[0]}.{index}"
    dequantise = helper.make_node(
        "DequantizeLinear", quantised, [back], name=f"{joint.dequantise.name}.{index}"
    )
    dequantise.attribute.extend(joint.dequantise.attribute)
    name = joint.product.name.removesuffix("/MatMul")
    return [
        dequantise,
        helper.make_node("MatMul", [joint.product.input[0], back], [product], name=f"{name}.{index}/MatMul"),
        helper.make_node("Add", [product, bias], [output], name=f"{name}.{index}/Add"),
    ]


def _drop_unread(model: ModelProto) -> None:
    read = {tensor for node in model.graph.node for tensor in node.input}
    kept = [
        TensorProto.FromString(value.SerializeToString())
        for value in model.graph.initializer
        if value.name in read
    ]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
