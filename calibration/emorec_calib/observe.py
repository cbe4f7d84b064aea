"""An FP32 graph that is watched while it runs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from emorec_calib.observers import METHODS, ChannelMax, Keeper, Observer, State, check_finite
from emorec_calib.ranges import GraphRanges
from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.base import Engine, Tensors, check_feeds
from emorec_rt.engines.ort import session_options

WEIGHT_OPS: Final = frozenset({"MatMul", "Gemm", "Conv"})

SMOOTHABLE_OPS: Final = frozenset({"MatMul", "Gemm"})
"""Their input's channels are its last axis, so these can be smoothed."""


class ObservingEngine(Engine):
    """Stands behind the runtime's ``Engine``, so calibration sees what serving would see.

    Every activation that meets a weight becomes an output of the graph; its values go to an observer and are
    dropped, so memory doesn't grow with the sample.

    Args:
        path: The FP32 graph.
        inputs: What the manifest says goes in.
        outputs: What the manifest says comes out.
        method: One of ``METHODS``.
    """

    def __init__(
        self, path: Path, inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], method: str
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._sha256 = sha256_of(path)
        model = onnx.load(os.fspath(path))
        watched = watched_tensors(model)
        fed = {spec.name for spec in inputs}
        given = {spec.name for spec in outputs}
        model.graph.output.extend(
            onnx.ValueInfoProto(name=name) for name in watched if name not in fed | given
        )
        self._observers: dict[str, Observer] = {name: METHODS[method]() for name in watched}
        self._channels = {name: ChannelMax() for name in watched_tensors(model, SMOOTHABLE_OPS)}
        self._samples = 0
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
        )
        self._names = [value.name for value in self._session.get_outputs()]

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch and watch it; see ``Engine.run``."""
        check_feeds(self.inputs, feeds)
        results = dict(zip(self._names, self._session.run(self._names, dict(feeds)), strict=True))
        for name, observer in self._observers.items():
            values = feeds[name] if name in feeds else results[name]
            check_finite(name, values)
            observer.update(values)
            if name in self._channels:
                self._channels[name].update(values)
        self._samples += len(feeds[self.inputs[0].name])
        return {spec.name: results[spec.name] for spec in self.outputs}

    def ranges(self) -> GraphRanges:
        """Ranges that have been seen so far."""
        return GraphRanges(
            graph_sha256=self._sha256,
            samples=self._samples,
            tensors={name: observer.range() for name, observer in self._observers.items()},
            channels={name: observer.magnitudes() for name, observer in self._channels.items()},
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything seen so far, as arrays; see ``restore``."""
        arrays: dict[str, NDArray[Any]] = {"samples": np.array(self._samples)}
        for kind, observers in self._by_kind().items():
            for index, observer in enumerate(observers):
                arrays |= {f"{kind}.{index}.{key}": array for key, array in observer.state().items()}
        return arrays

    def restore(self, state: State) -> None:
        """Go on from a state of an engine for the same graph and method."""
        self._samples = int(state["samples"])
        for kind, observers in self._by_kind().items():
            for index, observer in enumerate(observers):
                prefix = f"{kind}.{index}."
                own = {key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)}
                observer.restore(own)

    def _by_kind(self) -> dict[str, list[Keeper]]:
        return {"tensor": [*self._observers.values()], "channel": [*self._channels.values()]}


def watched_tensors(model: onnx.ModelProto, ops: frozenset[str] = WEIGHT_OPS) -> list[str]:
    """Activations that a product with weights reads, in the order of the graph.

    Args:
        model: The graph.
        ops: The products that count.
    """
    weights = {value.name for value in model.graph.initializer}
    products = [node for node in model.graph.node if node.op_type in ops and node.input[1] in weights]
    return list(dict.fromkeys(node.input[0] for node in products if node.input[0] not in weights))
