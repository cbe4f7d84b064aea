"""Sensitivity of each layer to quantisation: one layer at a time, on real clips, down to the labels."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray

from emorec_calib.ranges import Ranges
from emorec_export.chain import step_logits, take_in
from emorec_export.graphs import write_graph
from emorec_export.quantize import candidates, quantize
from emorec_export.recipe import Recipe
from emorec_export.report import LayerSensitivity
from emorec_rt.bundle.manifest import GRAPH_NAMES, Decoding, GraphName, Preprocessing
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.faces import FaceDetector
from emorec_train.data.source import LabelledClip
from emorec_train.evaluation.metrics import class_support, present_macro_f1, score

BENCH_SECONDS: Final = 10.0
"""Of each clip: it is run once for every layer."""

Engines = Mapping[GraphName, Engine]
Layer = tuple[GraphName, str]


class CachedEngine(Engine):
    """An engine that computes nothing twice: most of the chain doesn't change from layer to layer.

    Args:
        engine: Does the work.
    """

    def __init__(self, engine: Engine) -> None:
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self._engine = engine
        self._known: dict[bytes, dict[str, NDArray[Any]]] = {}

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """See ``Engine.run``."""
        key = _key(feeds)
        if key not in self._known:
            self._known[key] = self._engine.run(feeds)
        return {name: array.copy() for name, array in self._known[key].items()}


@dataclass
class _Watched(Engine):
    """A changed engine whose outputs are compared with the unchanged one's."""

    engine: Engine
    original: Engine
    cosines: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.inputs, self.outputs = self.engine.inputs, self.engine.outputs

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        result = self.engine.run(feeds)
        for name, expected in self.original.run(feeds).items():
            left, right = expected.astype(np.float64).ravel(), result[name].astype(np.float64).ravel()
            scale = np.linalg.norm(left) * np.linalg.norm(right)
            self.cosines.append(float(left @ right / scale) if scale > 0 else 1.0)
        return result


class Bench:
    """A few clips, the FP32 engines, and what they answer.

    Args:
        graphs: The FP32 files.
        engines: Their engines.
        clips: Real clips with labels; they stay in memory, reduced to their faces.
        spec: The preprocessing.
        labels: Class names.
        decoding: Smoothing and prior correction of the bundle.
    """

    def __init__(
        self,
        graphs: Mapping[GraphName, Path],
        engines: Engines,
        clips: Iterable[LabelledClip],
        spec: Preprocessing,
        labels: Sequence[str],
        decoding: Decoding,
    ) -> None:
        self.graphs = graphs
        self.engines: dict[GraphName, Engine] = {
            name: CachedEngine(engine) for name, engine in engines.items()
        }
        self._spec = spec
        self._labels = labels
        self._decoding = decoding
        detector = FaceDetector()
        self._samples = [take_in(clip, spec, detector, BENCH_SECONDS) for clip in clips]
        self._expected, self._rows, self._truth = self._answers(self.engines)

    def sensitivity(self, name: GraphName, engine: Engine) -> tuple[float, float]:
        """Mean cosine of a graph's output and mean divergence of the labels, with one engine replaced."""
        watched = _Watched(engine, self.engines[name])
        logits, _, _ = self._answers({**self.engines, name: watched})
        return float(np.mean(watched.cosines)), mean_divergence(self._expected, logits)

    def drop(self, engines: Engines) -> float:
        """Macro-F1 of the runtime's rows that a set of engines loses against FP32."""
        _, rows, _ = self._answers(engines)
        support = class_support(self._truth, self._labels)
        before, after = (
            present_macro_f1(score(self._truth, own, self._labels), support) for own in (self._rows, rows)
        )
        return before - after

    def open(self, name: GraphName, model: onnx.ModelProto, scratch: Path) -> Engine:
        """An engine for a changed graph."""
        write_graph(model, scratch)
        try:
            return OrtEngine(scratch, self.engines[name].inputs, self.engines[name].outputs)
        finally:
            scratch.unlink(missing_ok=True)

    def _answers(self, engines: Engines) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
        """Logits of the steps, labels of the rows, and the true ones."""
        logits, rows, truth = [], [], []
        for sample in self._samples:
            times, answer = step_logits(sample, self._spec, engines)
            if len(times):
                own, own_truth = sample.rows(times, answer, self._decoding)
                logits.append(answer)
                rows.append(own)
                truth.append(own_truth)
        return np.concatenate(logits), np.concatenate(rows), np.concatenate(truth)


def layers(graphs: Mapping[GraphName, onnx.ModelProto], recipe: Recipe) -> list[Layer]:
    """Every layer that a recipe would quantise."""
    return [(name, layer) for name in GRAPH_NAMES for layer in candidates(graphs[name], recipe)]


def measure(
    bench: Bench, found: Iterable[Layer], ranges: Ranges, recipe: Recipe, scratch: Path
) -> Iterator[LayerSensitivity]:
    """Quantise one layer after the other, each alone.

    Args:
        bench: What to measure on.
        found: The layers, see ``layers``.
        ranges: Of the graphs.
        recipe: How to quantise; FP32 otherwise.
        scratch: A file that may be written and removed again.
    """
    models: dict[GraphName, onnx.ModelProto] = {}
    for name, layer in found:
        if name not in models:
            models = {name: onnx.load(bench.graphs[name])}
        others = frozenset(candidates(models[name], recipe)) - {layer}
        model = quantize(models[name], ranges.graphs[name], recipe, others)
        cosine, divergence = bench.sensitivity(name, bench.open(name, model, scratch))
        yield LayerSensitivity(graph=name, layer=layer, cosine=cosine, divergence=divergence, quantized=True)


def mean_divergence(expected: NDArray[np.float32], actual: NDArray[np.float32]) -> float:
    """Mean Kullback-Leibler divergence of ``actual``'s softmax from ``expected``'s, ``[N, C]``, in nats."""
    p, q = _log_softmax(expected), _log_softmax(actual)
    return float((np.exp(p) * (p - q)).sum(axis=1).mean())


def most_layers(count: int, drop: Callable[[int], float], max_drop: float) -> int:
    """Largest number of layers whose quantisation stays within ``max_drop``, by bisection.

    Args:
        count: How many layers there are.
        drop: Loss when the ``n`` least sensitive layers are quantised; taken to grow with ``n``.
        max_drop: What may be lost.
    """
    if drop(count) <= max_drop:
        return count
    good, bad = 0, count
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (middle, bad) if drop(middle) <= max_drop else (good, middle)
    return good


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    shifted = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _key(feeds: Tensors) -> bytes:
    digest = hashlib.sha256()
    for name in sorted(feeds):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(feeds[name]).tobytes())
    return digest.digest()
