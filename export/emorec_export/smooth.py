"""SmoothQuant (Xiao et al. 2022): take outlier channels out of an activation, put them into the weights.

An activation ``x`` becomes ``x / s`` and the weight's rows ``s * w``, one factor a channel: the product is
the same, but a range of ``x / s`` wastes no levels on a few loud channels. The division goes into the norm
before it where nothing but products reads that norm, and costs nothing; elsewhere it is a multiplication of
its own, which only a tensor with real outliers is worth. Factors are powers of two, so the graph gives the
very same numbers in FP32.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from emorec_calib.ranges import GraphRanges, Range
from emorec_export.recipe import LINEAR_OPS

OUTLIER_RATIO: Final = 8.0
"""Loudest channel over the median one, from which on a tensor is worth a multiplication of its own: below,
the loudest channel costs the others less than three of their eight bits."""


def smooth(
    model: ModelProto, ranges: GraphRanges, names: Collection[str], alpha: float
) -> tuple[ModelProto, dict[str, Range]]:
    """Smooth the activations that quantised products read.

    Args:
        model: The FP32 graph; it is not changed.
        ranges: Its ranges; activations without channel magnitudes stay as they are.
        names: The products that will be quantised.
        alpha: Share of the difficulty that moves to the weights, 0 to 1.

    Returns:
        An equal graph, and the range of each activation in it. A smoothed activation's range is that of its
        largest value, whatever the method: its outliers are gone, and nothing is left to clip.
    """
    result = ModelProto()
    result.CopyFrom(model)
    smoother = _Smoother(result, frozenset(names))
    found = dict(ranges.tensors)
    for tensor, magnitudes in ranges.channels.items():
        products = smoother.products(tensor)
        if not products or not magnitudes:
            continue
        loud = np.array(magnitudes, np.float64)
        factors = smoothing_factors(loud, smoother.row_magnitudes(products), alpha)
        if smoother.divide(tensor, products, factors, loud):
            high = float((loud / factors).max())
            found[f"{tensor}.smooth" if smoother.inserted(tensor) else tensor] = Range(low=-high, high=high)
    smoother.finish()
    return result, found


def smoothing_factors(
    channels: NDArray[np.float64], rows: NDArray[np.float64], alpha: float
) -> NDArray[np.float64]:
    """A power of two for each channel, ``[C]``, with the median at 1; 1 for a channel that is always zero.

    Args:
        channels: Largest magnitude of each channel of the activation.
        rows: Largest magnitude of each row of the weights behind it.
        alpha: Share of the difficulty that moves to the weights.
    """
    alive = (channels > 0) & (rows > 0)
    if not alive.any():
        return np.ones_like(channels)
    exponents = alpha * np.log2(channels[alive]) - (1 - alpha) * np.log2(rows[alive])
    factors = np.ones_like(channels)
    factors[alive] = np.exp2(np.rint(exponents - np.median(exponents)))
    return factors


@dataclass
class _Smoother:
    """Finds norms and products of a graph, and scales their channels."""

    model: ModelProto
    names: frozenset[str]
    _readers: dict[str, list[NodeProto]] = field(default_factory=dict)
    _makers: dict[str, NodeProto] = field(default_factory=dict)
    _weights: dict[str, TensorProto] = field(default_factory=dict)
    _inserted: dict[str, NodeProto] = field(default_factory=dict)

    def __post_init__(self) -> None:
        graph = self.model.graph
        self._weights = {value.name: value for value in graph.initializer}
        for node in graph.node:
            self._makers.update(dict.fromkeys(node.output, node))
            for tensor in set(node.input):
                self._readers.setdefault(tensor, []).append(node)
        for value in graph.output:
            self._readers.setdefault(value.name, []).append(NodeProto(op_type="output"))

    def products(self, tensor: str) -> list[NodeProto]:
        """Quantised products of a tensor with weights of their own."""
        return [
            node
            for node in self._readers.get(tensor, [])
            if node.name in self.names and self._is_product(node, tensor)
        ]

    def inserted(self, tensor: str) -> bool:
        """Say whether the division is a node of its own."""
        return tensor in self._inserted

    def row_magnitudes(self, products: list[NodeProto]) -> NDArray[np.float64]:
        """Largest magnitude that each input channel has in any of the products, ``[C]``."""
        weights = [self._rows_first(node) for node in products]
        return np.asarray(np.max([np.abs(weight).max(axis=1) for weight in weights], axis=0), np.float64)

    def divide(
        self,
        tensor: str,
        products: list[NodeProto],
        factors: NDArray[np.float64],
        magnitudes: NDArray[np.float64],
    ) -> bool:
        """Divide a tensor's channels and multiply its products' rows, if it can be done or is worth it."""
        readers = self._readers[tensor]
        norm = self._makers.get(tensor)
        if norm is not None and self._is_free(norm) and all(self._is_product(n, tensor) for n in readers):
            for name in norm.input[1:3]:
                self._scale(name, 1.0 / factors)
            products = readers
        elif _outlier_ratio(magnitudes) >= OUTLIER_RATIO:
            self._insert(tensor, products, factors)
        else:
            return False
        for node in products:
            self._scale_rows(node, factors)
        return True

    def finish(self) -> None:
        """Put the new nodes right behind what they divide."""
        graph = self.model.graph
        nodes = [node for value in graph.input for node in self._after(value.name)]
        for node in graph.node:
            nodes.append(node)
            nodes += [follower for output in node.output for follower in self._after(output)]
        copies = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(copies)

    def _after(self, tensor: str) -> list[NodeProto]:
        return [self._inserted[tensor]] if tensor in self._inserted else []

    def _insert(self, tensor: str, products: list[NodeProto], factors: NDArray[np.float64]) -> None:
        factor = f"{tensor}.smoothing"
        inverse = numpy_helper.from_array((1.0 / factors).astype(np.float32), factor)
        self.model.graph.initializer.append(inverse)
        name = f"{tensor}.smooth"
        self._inserted[tensor] = helper.make_node("Mul", [tensor, factor], [name], name=f"{tensor}/Smooth")
        for node in products:
            node.input[0] = name

    def _is_product(self, node: NodeProto, tensor: str) -> bool:
        """Say whether a node is a product of the tensor with a weight that nothing else reads."""
        return (
            node.op_type in LINEAR_OPS
            and node.input[0] == tensor
            and node.input[1] in self._weights
            and len(self._readers[node.input[1]]) == 1
            and not _attribute(node, "transA")
        )

    def _is_free(self, node: NodeProto) -> bool:
        """Say whether a node is a norm whose gain and offset nothing else reads."""
        return node.op_type == "LayerNormalization" and all(
            name in self._weights and len(self._readers[name]) == 1 for name in node.input[1:3]
        )

    def _rows_first(self, node: NodeProto) -> NDArray[np.float32]:
        weight = numpy_helper.to_array(self._weights[node.input[1]])
        return weight.T if _attribute(node, "transB") else weight

    def _scale_rows(self, node: NodeProto, factors: NDArray[np.float64]) -> None:
        transposed = _attribute(node, "transB")
        self._scale(node.input[1], factors[None, :] if transposed else factors[:, None])

    def _scale(self, name: str, factors: NDArray[np.float64]) -> None:
        value = self._weights[name]
        scaled = (numpy_helper.to_array(value) * factors).astype(np.float32)
        value.CopyFrom(numpy_helper.from_array(scaled, name))


def _outlier_ratio(magnitudes: NDArray[np.float64]) -> float:
    median = float(np.median(magnitudes))
    return float(magnitudes.max()) / median if median > 0 else 1.0


def _attribute(node: NodeProto, name: str) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), 0)
