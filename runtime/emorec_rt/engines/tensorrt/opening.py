"""From a bundle's ONNX file to a running plan: take the one that fits, or build, compare and keep one."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.engines.compare import compare, latency_ms
from emorec_rt.engines.tensorrt.api import import_tensorrt
from emorec_rt.engines.tensorrt.builder import build_plan
from emorec_rt.engines.tensorrt.cuda import Device, current_device
from emorec_rt.engines.tensorrt.engine import CUDA_GRAPHS, TensorRTEngine
from emorec_rt.engines.tensorrt.options import DEFAULTS, BuildOptions, chunks_beside, up_to
from emorec_rt.engines.tensorrt.plans import (
    Identity,
    PlanFile,
    Sidecar,
    earlier_places,
    first_writable,
    places,
    sha256_of_bytes,
)
from emorec_rt.engines.tensorrt.progress import Progress
from emorec_rt.errors import BundleError, EngineError, OutOfMemoryError, OutputError
from emorec_rt.jetson.module import desktop_runs
from emorec_rt.manifest import Graph, Precision

_logger = logging.getLogger(__name__)
FP8_FROM = (8, 9)
"""First compute capability with FP8 (Ada); an Orin has 8.7."""
_HOW = ("options", "shapes")
"""What may differ in a plan that was built with other options than this program's own."""


@dataclass(frozen=True, slots=True)
class Source:
    """The ONNX file that a plan is built from.

    Attributes:
        path: The file, inside its bundle; its hash has been compared with the manifest's.
        graph: What the manifest says about the graph.
        variant: The file's precision.
    """

    path: Path
    graph: Graph
    variant: Precision

    @classmethod
    def of(cls, path: Path, graph: Graph) -> Source:
        """Find the variant that a file holds.

        Raises:
            BundleError: The graph has no variant in this file.
        """
        for precision, variant in graph.variants.items():
            if variant.file == path.name:
                return cls(path, graph, precision)
        raise BundleError(path, "is no variant of its graph in the manifest")

    def identity(self, options: BuildOptions, device: Device, tensorrt: str) -> Identity:
        """What a plan from this file, for this machine, depends on."""
        batch = options.batch_for(self.graph)
        return Identity(
            model_sha256=self.graph.variants[self.variant].sha256,
            variant=self.variant,
            shapes={spec.name: batch.shapes(spec) for spec in self.graph.inputs},
            tensorrt=tensorrt,
            cuda=device.runtime // 1000,
            gpu=device.name,
            sm=device.sm,
            options=options,
        )


def open_tensorrt(
    path: Path,
    graph: Graph,
    *,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    cuda_graphs: int = CUDA_GRAPHS,
) -> TensorRTEngine:
    """Run a graph of a bundle on this machine's GPU; the first time, and after updates, it is built first.

    Args:
        path: The ONNX file, from ``Bundle.graph_file``.
        graph: The manifest's entry.
        options: How to build; ``None`` takes a plan however it was built, and builds with the defaults.
        progress: Told a build's steps; returning False stops it.
        cuda_graphs: As for ``TensorRTEngine``.

    Raises:
        BackendUnavailableError: TensorRT, the CUDA bindings, the driver, the GPU or (to build) onnxruntime
            are missing.
        EngineError: Building or loading failed, or the plan computes something else.
        OutputError: The plan can't be written anywhere.
    """
    plan = ensure_plan(path, graph, options=options, progress=progress)
    host_code = PlanFile(plan).record().identity.options.version_compatible
    try:
        return TensorRTEngine(plan, graph.inputs, graph.outputs, cuda_graphs=cuda_graphs, host_code=host_code)
    except OutOfMemoryError as error:
        raise OutOfMemoryError(
            f"{error}: emorec-rt build --max-batch N builds a plan that needs less"
        ) from error


def ensure_plan(
    path: Path,
    graph: Graph,
    *,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    rebuild: bool = False,
    check: bool = True,
    feeds: Tensors | None = None,
) -> Path:
    """A plan for this machine: the one at hand when it fits, else a new one. Says in one line why it builds.

    Args:
        path: The ONNX file, from ``Bundle.graph_file``.
        graph: The manifest's entry.
        options: How to build; ``None`` takes a plan however it was built, and builds with the defaults.
        progress: Told the build's steps; returning False stops it.
        rebuild: Build even if a plan fits.
        check: Compare a new plan with its graph in ONNX Runtime before it is kept.
        feeds: Inputs for the comparison; ``None`` makes some up.

    Returns:
        The plan's path.

    Raises:
        As for ``open_tensorrt``.
    """
    trt = import_tensorrt()
    device = current_device()
    source = Source.of(path, graph)
    _check_precision(source, device)
    wanted = source.identity(options or default_options(device), device, trt.__version__)
    ignored = () if options else _HOW
    where = (path, wanted.model_sha256, device, trt.__version__)
    candidates = places(*where)
    misfits = [place.misfit(wanted, ignored) for place in candidates]
    if not rebuild and None in misfits:
        return candidates[misfits.index(None)].path
    for earlier in () if rebuild else earlier_places(*where):
        if earlier.misfit(wanted, {*ignored, "tensorrt"}) is None:
            return earlier.path
    place = first_writable(candidates)
    reason = "it was asked for" if rebuild else misfits[candidates.index(place)]
    _logger.warning("building %s (%s); this takes minutes", place.path, reason)
    reference = _reference(source) if check else None
    _build(source, wanted, place, device, progress, reference, feeds)
    return place.path


def default_options(device: Device) -> BuildOptions:
    """How to build where nobody says: on a Jetson by its memory plan, which leaves room for Linux."""
    if not device.integrated:
        return DEFAULTS
    from emorec_rt.jetson.plan import plan_memory  # it needs this package

    plan = plan_memory(device.memory_bytes >> 20, desktop=desktop_runs())
    return BuildOptions(
        batch=up_to(plan.batch),
        chunks=up_to(chunks_beside(plan.batch)),
        workspace_bytes=plan.workspace_mib << 20,
    )


def _check_precision(source: Source, device: Device) -> None:
    """FP8 is in the hardware of Ada, Hopper and later; TensorRT would say so less plainly."""
    if source.variant == "fp8" and device.compute_capability < FP8_FROM:
        raise EngineError(
            f"{source.path}: FP8 needs a GPU of compute capability {'.'.join(map(str, FP8_FROM))} or later, "
            f"{device.name} has {'.'.join(map(str, device.compute_capability))}; take int8-fp16 or fp16"
        )


def _reference(source: Source) -> Engine:
    """The same graph in ONNX Runtime; asked for before the build, so that it isn't missed after minutes.

    A plan must compute what its graph says; how good that is, the export has measured.
    """
    from emorec_rt.engines.ort import OrtEngine

    return OrtEngine(source.path, source.graph.inputs, source.graph.outputs)


def _build(
    source: Source,
    wanted: Identity,
    place: PlanFile,
    device: Device,
    progress: Progress | None,
    reference: Engine | None,
    feeds: Tensors | None,
) -> None:
    started = time.monotonic()
    batch = wanted.options.batch_for(source.graph)
    data = build_plan(
        source.path,
        source.graph.inputs,
        batch,
        wanted.options,
        device=device,
        timings=place.timings_path,
        progress=progress,
    )
    build_seconds = time.monotonic() - started
    draft = _draft(place, data)
    try:
        sidecar = Sidecar(
            identity=wanted,
            plan_sha256=sha256_of_bytes(data),
            driver=device.driver,
            runtime=device.runtime,
            build_seconds=round(build_seconds, 1),
            verification=_compare(draft, source, wanted, reference, feeds),
        )
        place.store(draft, sidecar)
    finally:
        draft.unlink(missing_ok=True)


def _compare(
    draft: Path, source: Source, wanted: Identity, reference: Engine | None, feeds: Tensors | None
) -> dict[str, float | int]:
    if reference is None:
        return {}
    graph, host_code = source.graph, wanted.options.version_compatible
    engine = TensorRTEngine(draft, graph.inputs, graph.outputs, host_code=host_code)
    found = compare(draft.name, engine, reference, source.variant, feeds, largest=engine.max_batch)
    batch = min(wanted.options.batch_for(graph).best, engine.max_batch)
    return {**found.as_dict(), "latency_ms": latency_ms(engine, batch), "latency_batch": batch}


def _draft(place: PlanFile, data: bytes) -> Path:
    """A new plan under a name that nothing loads, until it has been compared."""
    try:
        handle, name = tempfile.mkstemp(dir=place.path.parent, prefix=f"{place.path.name}.", suffix=".new")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
    except OSError as error:
        raise OutputError(place.path, f"the plan can't be written ({error.strerror})") from error
    return Path(name)
