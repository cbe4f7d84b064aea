"""Parity of each variant with the PyTorch model: graph by graph, and as a whole on held-out clips."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_export.chain import step_outputs, take_in
from emorec_export.graphs import ExportError
from emorec_export.measures import MeasuredRows
from emorec_export.report import ChainParity, GraphParity, Reference, Report, VariantParity
from emorec_rt.bundle.manifest import Decoding, GraphName, Precision, Preprocessing, TensorSpec
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.faces import FaceDetector
from emorec_train.data.source import LabelledClip
from emorec_train.evaluation.metrics import class_support, present_macro_f1, score

Engines = Mapping[GraphName, Engine]

CLIP_BATCHES: Final = 2
"""Batches of each graph that all variants are run on, for each of the first clips: other people, voices and
rooms tell more than more of one."""

COMPARED_BATCHES: Final = 24
"""In all; the whole chain runs on everything."""

LATENCY_RUNS: Final = 5


@dataclass(frozen=True, slots=True)
class Built:
    """A variant of all graphs.

    Attributes:
        engines: Loaded.
        size_bytes: Size of each file.
        quantized: Quantised products of each graph.
        products: All products with weights of each graph.
    """

    engines: Engines
    size_bytes: Mapping[GraphName, int]
    quantized: Mapping[GraphName, int]
    products: Mapping[GraphName, int]


def compare(
    reference: Engines,
    variants: Mapping[Precision, Built],
    clips: Iterable[LabelledClip],
    spec: Preprocessing,
    labels: Sequence[str],
    decoding: Decoding,
    tasks: Tasks = NO_TASKS,
) -> Report:
    """Run reference and variants on the same clips, and compare the rows that the runtime would write.

    Args:
        reference: The PyTorch modules.
        variants: What was built, by precision.
        clips: Held out from training; one is in memory at a time.
        spec: The preprocessing.
        labels: Class names.
        decoding: Smoothing and prior correction of the bundle.
        tasks: What the fusion gives beside the logits.

    Returns:
        The report, still without a verdict.

    Raises:
        ExportError: No clip has anything to run.
    """
    watched = {name: _Compared(engine, name, variants) for name, engine in reference.items()}
    truth: list[NDArray[np.int64]] = []
    measured = MeasuredRows(tasks)
    bad = dict.fromkeys(variants, 0)
    predicted: dict[str, list[NDArray[np.int64]]] = {"": [], **{precision: [] for precision in variants}}
    detector, count = FaceDetector(), 0
    for clip in clips:
        sample = take_in(clip, spec, detector)
        for compared in watched.values():
            compared.begin_clip()
        times, outputs = step_outputs(sample, spec, watched)
        if not len(times):
            continue  # no window: neither a frame nor sound
        count += 1
        rows, own_truth = sample.rows(times, outputs[:, : len(labels)], decoding)
        if tasks:
            measured.add("", *sample.measures(times, outputs[:, len(labels) :], decoding))
        truth.append(own_truth)
        predicted[""].append(rows)
        for precision, built in variants.items():
            _, outputs = step_outputs(sample, spec, built.engines)
            predicted[precision].append(sample.rows(times, outputs[:, : len(labels)], decoding)[0])
            if tasks:
                measured.add(precision, *sample.measures(times, outputs[:, len(labels) :], decoding))
            bad[precision] += int(np.count_nonzero(~np.isfinite(outputs)))
    if not count:
        raise ExportError("none of the held-out clips has a frame or sound, so nothing can be compared")
    joined = {name: np.concatenate(parts) for name, parts in predicted.items()}
    return _report(watched, variants, np.concatenate(truth), joined, bad, labels, count, measured)


def _report(
    watched: Mapping[GraphName, _Compared],
    variants: Mapping[Precision, Built],
    truth: NDArray[np.int64],
    predicted: Mapping[str, NDArray[np.int64]],
    bad: Mapping[Precision, int],
    labels: Sequence[str],
    clips: int,
    measured: MeasuredRows,
) -> Report:
    base, support = score(truth, predicted[""], labels), class_support(truth, labels)
    base_f1 = present_macro_f1(base, support)
    results: dict[Precision, VariantParity] = {}
    for precision, built in variants.items():
        scores = score(truth, predicted[precision], labels)
        chain = ChainParity(
            label_agreement=float(np.mean(predicted[precision] == predicted[""])),
            accuracy=scores.accuracy,
            macro_f1=(macro_f1 := present_macro_f1(scores, support)),
            macro_f1_change=macro_f1 - base_f1,
            f1=scores.f1,
            non_finite=bad[precision],
            measures=measured.parity(precision),
        )
        graphs = {name: compared.parity(precision, built) for name, compared in watched.items()}
        results[precision] = VariantParity(graphs=graphs, chain=chain)
    return Report(
        reference=Reference(
            clips=clips,
            rows=len(truth),
            accuracy=base.accuracy,
            macro_f1=base_f1,
            f1=base.f1,
            support=support,
        ),
        variants=results,
    )


@dataclass
class _Error:
    """Running comparison of two tensors."""

    cosines: list[float] = field(default_factory=list)
    max_abs: float = 0.0
    magnitude: float = 0.0
    non_finite: int = 0

    def add(self, expected: NDArray[np.float32], actual: NDArray[np.float32]) -> None:
        self.non_finite += int(actual.size - np.isfinite(actual).sum())
        self.max_abs = max(self.max_abs, float(np.abs(expected - actual).max()))
        self.magnitude = max(self.magnitude, float(np.abs(expected).max()))
        rows = (expected.reshape(-1, expected.shape[-1]), actual.reshape(-1, actual.shape[-1]))
        left, right = (array.astype(np.float64) for array in rows)
        norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        self.cosines.extend(((left * right).sum(axis=1) / np.maximum(norms, 1e-12)).tolist())


class _Compared(Engine):
    """The reference engine of a graph; on its way, each clip's first batches go through every variant too."""

    def __init__(self, engine: Engine, name: GraphName, variants: Mapping[Precision, Built]) -> None:
        self.inputs: tuple[TensorSpec, ...] = engine.inputs
        self.outputs: tuple[TensorSpec, ...] = engine.outputs
        self._engine = engine
        self._name = name
        self._variants = {precision: built.engines[name] for precision, built in variants.items()}
        self._errors = {precision: _Error() for precision in variants}
        self._left, self._left_of_clip = COMPARED_BATCHES, 0
        self._feeds: Tensors = {}

    def begin_clip(self) -> None:
        """Compare the next batches, too."""
        self._left_of_clip = min(CLIP_BATCHES, self._left)

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        expected = self._engine.run(feeds)
        if self._left_of_clip > 0:
            self._left -= 1
            self._left_of_clip -= 1
            self._feeds = feeds
            for precision, engine in self._variants.items():
                actual = engine.run(feeds)
                for spec in self.outputs:
                    self._errors[precision].add(expected[spec.name], actual[spec.name])
        return expected

    def parity(self, precision: Precision, built: Built) -> GraphParity:
        error = self._errors[precision]
        return GraphParity(
            cosine_mean=float(np.mean(error.cosines)) if error.cosines else 1.0,
            cosine_min=float(np.min(error.cosines)) if error.cosines else 1.0,
            max_abs_error=error.max_abs,
            magnitude=error.magnitude,
            non_finite=error.non_finite,
            quantized_layers=built.quantized[self._name],
            products=built.products[self._name],
            size_bytes=built.size_bytes[self._name],
            latency_batch=len(self._feeds[self.inputs[0].name]) if self._feeds else 0,
            latency_ms=self._latency_ms(built.engines[self._name]),
        )

    def _latency_ms(self, engine: Engine) -> float:
        """Median over a few runs of the last compared batch: a hint, measured on a machine that builds."""
        if not self._feeds:
            return 0.0
        seconds = []
        for _ in range(LATENCY_RUNS):
            start = time.perf_counter()
            engine.run(self._feeds)
            seconds.append(time.perf_counter() - start)
        return float(np.median(seconds)) * 1e3
