"""Outlier channels put into a graph without changing what it computes.

Trained transformers have a few channels behind their norms that are tens of times louder than the rest, which
is what ruins plain INT8; random weights have none. Here a few channels of each norm's gain and offset are
multiplied, and the rows of the products that read them divided by the same. What else reads the norm (the
residual sum of a post-norm transformer) gets the channels divided back.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from emorec_export.recipe import LINEAR_OPS

LOUDER: Final = (30.0, 100.0)
SHARE: Final = 0.01
"""Of a norm's channels, at least one."""


def inject(model: ModelProto, seed: int = 0) -> int:
    """Inject outliers in place behind every norm that a product with weights reads.

    Returns:
        How many norms there are.
    """
    graph = model.graph
    weights = {value.name: value for value in graph.initializer}
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for tensor in dict.fromkeys(node.input):
            readers.setdefault(tensor, []).append(node)
    generator = np.random.default_rng(seed)
    added: dict[str, NodeProto] = {}
    count = 0
    for norm in [node for node in graph.node if node.op_type == "LayerNormalization"]:
        found = readers.get(norm.output[0], [])
        products = [node for node in found if _is_product(node, norm.output[0], weights, readers)]
        if not products:
            continue
        count += 1
        factors = _factors(generator, numpy_helper.to_array(weights[norm.input[1]]).size)
        for place in (1, 2):
            _scale_own(model, norm, place, weights, factors)
        for node in products:
            transposed = any(item.name == "transB" and item.i for item in node.attribute)
            _scale(weights, node.input[1], 1.0 / (factors[None, :] if transposed else factors[:, None]))
        if others := [node for node in found if node not in products]:
            added[norm.output[0]] = _divide_back(model, norm.output[0], others, factors)
    _insert(model, added)
    _drop_unread(model)
    return count


def _factors(generator: np.random.Generator, channels: int) -> NDArray[np.float64]:
    factors = np.ones(channels)
    loud = generator.choice(channels, max(1, round(SHARE * channels)), replace=False)
    factors[loud] = generator.uniform(*LOUDER, len(loud))
    return factors


def _is_product(
    node: NodeProto, tensor: str, weights: dict[str, TensorProto], readers: dict[str, list[NodeProto]]
) -> bool:
    return (
        node.op_type in LINEAR_OPS
        and node.input[0] == tensor
        and node.input[1] in weights
        and len(readers[node.input[1]]) == 1
    )


def _scale(weights: dict[str, TensorProto], name: str, factors: NDArray[np.float64]) -> None:
    value = weights[name]
    scaled = (numpy_helper.to_array(value) * factors).astype(np.float32)
    value.CopyFrom(numpy_helper.from_array(scaled, name))


def _scale_own(
    model: ModelProto,
    norm: NodeProto,
    place: int,
    weights: dict[str, TensorProto],
    factors: NDArray[np.float64],
) -> None:
    """Give a norm a scaled gain or offset of its own: fresh norms share theirs."""
    values = numpy_helper.to_array(weights[norm.input[place]]) * factors
    norm.input[place] = f"{norm.name}.{('gain', 'offset')[place - 1]}"
    model.graph.initializer.append(numpy_helper.from_array(values.astype(np.float32), norm.input[place]))


def _divide_back(
    model: ModelProto, tensor: str, others: list[NodeProto], factors: NDArray[np.float64]
) -> NodeProto:
    inverse, name = f"{tensor}.inverse", f"{tensor}.plain"
    model.graph.initializer.append(numpy_helper.from_array((1.0 / factors).astype(np.float32), inverse))
    for node in others:
        node.input[:] = [name if one == tensor else one for one in node.input]
    return helper.make_node("Mul", [tensor, inverse], [name], name=f"{tensor}/DivideBack")


def _insert(model: ModelProto, added: dict[str, NodeProto]) -> None:
    def ordered() -> Iterator[NodeProto]:
        for node in model.graph.node:
            yield node
            yield from (added[output] for output in node.output if output in added)

    copies = [NodeProto.FromString(node.SerializeToString()) for node in ordered()]
    del model.graph.node[:]
    model.graph.node.extend(copies)


def _drop_unread(model: ModelProto) -> None:
    read = {tensor for node in model.graph.node for tensor in node.input}
    kept = [value for value in model.graph.initializer if value.name in read]
    copies = [TensorProto.FromString(value.SerializeToString()) for value in kept]
    del model.graph.initializer[:]
    model.graph.initializer.extend(copies)
