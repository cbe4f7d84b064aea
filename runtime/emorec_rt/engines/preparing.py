"""A bundle made ready for this machine: plans are built, and every backend's answers compared."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from emorec_rt.bundle import Bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, Graph, GraphName, Precision
from emorec_rt.engines import describe
from emorec_rt.engines.base import Progress
from emorec_rt.engines.compare import compare, latency_ms
from emorec_rt.engines.tensorrt.layers import Inspection
from emorec_rt.engines.tensorrt.options import DEFAULTS, BuildOptions

RIVALS: Final[dict[Precision, tuple[Precision, ...]]] = {
    "int8": ("fp32", "fp16"),
    "int8-fp16": ("fp16",),
    "fp8": ("fp16",),
}
"""Precisions that an 8-bit variant has to beat to be worth its errors."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """One graph, ready to run.

    Attributes:
        graph: Which graph.
        precision: In which variant.
        path: What runs: the plan, or the ONNX file where there is nothing to build.
        cosine: Least cosine with the reference in ONNX Runtime; ``None`` where nobody has compared.
        latency_ms: Median time of a batch here, for a plan when it was built; ``None`` where not measured.
        latency_batch: That batch.
        inspection: What became of a plan's layers; ``None`` where that is not known.
        built_for: GPU or targets and release of a plan, as its folder is named.
    """

    graph: GraphName
    precision: Precision
    path: Path
    cosine: float | None
    latency_ms: float | None = None
    latency_batch: int = 0
    inspection: Inspection | None = None
    built_for: str = ""


def prepare(
    bundle: Bundle,
    backend: str,
    precisions: Iterable[Precision],
    *,
    options: BuildOptions | None = None,
    rebuild: bool = False,
    beside: bool = True,
    trust: bool = False,
    progress: Progress | None = None,
) -> Iterator[Prepared]:
    """Build what a backend has to build, and compare it with ONNX Runtime; one graph after the other.

    A plan is compared with its graph before it is kept. Libraries that take the ONNX file as it is are
    compared with ONNX Runtime on the same file: they must read it alike. How good 8 bits are is for the
    export's parity report.

    Args:
        bundle: The bundle.
        backend: One of ``BACKENDS``.
        precisions: Which variants.
        options: How to build; ``None`` keeps a plan that fits, however it was built.
        rebuild: Build even if a plan fits.
        beside: Keep plans beside the bundle; else in the user's cache alone.
        trust: Take over plans beside the bundle that somebody else has built.
        progress: Told a build's steps; returning False stops it.

    Raises:
        BackendUnavailableError: A library, the driver or the GPU is missing.
        UsageError: The bundle has no such variant.
        EngineError: Building or loading failed, or something else is computed.
        OutputError: The plan can't be written anywhere.
    """
    for precision in precisions:
        for graph in GRAPH_NAMES:
            if build := describe(backend).build:
                ready = partial(
                    build, options=options, rebuild=rebuild, beside=beside, trust=trust, progress=progress
                )
                yield _planned(bundle, graph, precision, ready)
            else:
                yield _verified(bundle, graph, precision, backend)


def _planned(
    bundle: Bundle, graph: GraphName, precision: Precision, build: Callable[[Path, Graph], Path]
) -> Prepared:
    from emorec_rt.engines.tensorrt.plans import PlanFile

    path, entry = bundle.graph_file(graph, precision), bundle.manifest.graphs[graph]
    plan = PlanFile(build(path, entry))
    record = plan.record()
    found = record.verification
    return Prepared(
        graph,
        precision,
        plan.path,
        found.get("cosine"),
        found.get("latency_ms"),
        found.get("latency_batch", 0),
        record.inspection,
        plan.path.parent.name,
    )


def _verified(bundle: Bundle, graph: GraphName, precision: Precision, backend: str) -> Prepared:
    from emorec_rt.engines.ort import OrtEngine

    path, entry = bundle.graph_file(graph, precision), bundle.manifest.graphs[graph]
    engine = describe(backend).open(path, entry)
    reference = OrtEngine(path, entry.inputs, entry.outputs)
    found = compare(f"{path.name} in {backend}", engine, reference, precision)
    batch = DEFAULTS.batch_for(entry).best
    return Prepared(graph, precision, path, found.cosine, latency_ms(engine, batch), batch)


def no_faster(made: Iterable[Prepared], backend: str) -> Iterator[str]:
    """Warnings: 8 bits that have not paid on this machine, one line each.

    Args:
        made: Graphs of one run of ``prepare``, in several variants.
        backend: What has run them.
    """
    by_variant = {(one.graph, one.precision): one for one in made if one.latency_ms is not None}
    for (graph, precision), one in by_variant.items():
        for rival in RIVALS.get(precision, ()):
            other = by_variant.get((graph, rival))
            if other is None or other.latency_batch != one.latency_batch:
                continue
            if one.latency_ms >= other.latency_ms:  # type: ignore[operator]  # neither is None here
                yield (
                    f"{graph} {precision} is no faster than {rival} with {backend} here: "
                    f"{one.latency_ms:.2f} against {other.latency_ms:.2f} ms for {one.latency_batch}"
                )
