"""A bundle made ready for this machine: plans are built, and every backend's answers compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from emorec_rt.bundle import Bundle
from emorec_rt.engines import BACKENDS
from emorec_rt.engines.base import Engine
from emorec_rt.engines.compare import compare
from emorec_rt.engines.tensorrt.options import BuildOptions
from emorec_rt.engines.tensorrt.progress import Progress
from emorec_rt.manifest import GRAPH_NAMES, GraphName, Precision

TENSORRT = "tensorrt"


@dataclass(frozen=True, slots=True)
class Prepared:
    """One graph, ready to run.

    Attributes:
        graph: Which graph.
        precision: In which variant.
        path: What runs: the plan, or the ONNX file where there is nothing to build.
        cosine: Least cosine with the reference in ONNX Runtime; ``None`` where it is known from an earlier
            build alone.
    """

    graph: GraphName
    precision: Precision
    path: Path
    cosine: float | None


def prepare(
    bundle: Bundle,
    backend: str,
    precisions: Iterable[Precision],
    *,
    options: BuildOptions | None = None,
    rebuild: bool = False,
    progress: Progress | None = None,
) -> Iterator[Prepared]:
    """Build what a backend has to build, and compare it with ONNX Runtime; one graph after the other.

    A plan is compared with the FP32 graph before it is kept. Libraries that take the ONNX file as it is are
    compared with ONNX Runtime on the same file: they must read it alike. How good 8 bits are is for the
    export's parity report.

    Args:
        bundle: The bundle.
        backend: One of ``BACKENDS``.
        precisions: Which variants.
        options: How to build; ``None`` keeps a plan that fits, however it was built.
        rebuild: Build even if a plan fits.
        progress: Told a build's steps; returning False stops it.

    Raises:
        BackendUnavailableError: A library, the driver or the GPU is missing.
        UsageError: The bundle has no such variant.
        EngineError: Building or loading failed, or something else is computed.
        OutputError: The plan can't be written anywhere.
    """
    for precision in precisions:
        for graph in GRAPH_NAMES:
            if backend == TENSORRT:
                yield _plan(bundle, graph, precision, options, rebuild=rebuild, progress=progress)
            else:
                yield _verified(bundle, graph, precision, backend)


def _plan(
    bundle: Bundle,
    graph: GraphName,
    precision: Precision,
    options: BuildOptions | None,
    *,
    rebuild: bool,
    progress: Progress | None,
) -> Prepared:
    from emorec_rt.engines.tensorrt import ensure_plan
    from emorec_rt.engines.tensorrt.plans import PlanFile

    path, entry = bundle.graph_file(graph, precision), bundle.manifest.graphs[graph]
    plan = ensure_plan(path, entry, options=options, rebuild=rebuild, progress=progress)
    found = PlanFile(plan).record().verification
    return Prepared(graph, precision, plan, found.get("cosine"))


def _verified(bundle: Bundle, graph: GraphName, precision: Precision, backend: str) -> Prepared:
    from emorec_rt.engines.ort import OrtEngine

    path, entry = bundle.graph_file(graph, precision), bundle.manifest.graphs[graph]
    engine: Engine = BACKENDS[backend].open(path, entry, None)
    reference = OrtEngine(path, entry.inputs, entry.outputs)
    found = compare(f"{path.name} in {backend}", engine, reference, precision)
    return Prepared(graph, precision, path, found.cosine)
