"""From a bundle's ONNX file to a running plan: take the one that fits, or build, compare and keep one."""

from __future__ import annotations

import logging
import os
import tempfile
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emorec_rt.bundle.manifest import Graph, Precision
from emorec_rt.constants import CUDA_GRAPHS, chunks_beside
from emorec_rt.engines.base import Engine, Progress, Tensors
from emorec_rt.engines.compare import compare, latency_ms
from emorec_rt.engines.tensorrt.builder import Built, build_plan
from emorec_rt.engines.tensorrt.cuda import Device
from emorec_rt.engines.tensorrt.engine import TensorRTEngine
from emorec_rt.engines.tensorrt.layers import Inspection, from_log, inspect
from emorec_rt.engines.tensorrt.library import TENSORRT, Library
from emorec_rt.engines.tensorrt.options import DEFAULTS, BuildOptions, up_to
from emorec_rt.engines.tensorrt.plans import (
    Identity,
    PlanFile,
    Sidecar,
    earlier_places,
    first_writable,
    places,
    sha256_of_bytes,
)
from emorec_rt.errors import BundleError, OutOfMemoryError, OutputError
from emorec_rt.machine.jetson.module import desktop_runs

_logger = logging.getLogger(__name__)
_HOW = ("options", "shapes")
"""Fields that may differ in a plan that was built with other options than this program's own."""


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
        raise BundleError(path, "is not a variant of its graph in the manifest")

    def identity(self, options: BuildOptions, device: Device | None, version: str) -> Identity:
        """Identity of a plan from this file; ``None`` for the GPU where none takes part in the build."""
        batch = options.batch_for(self.graph)
        return Identity(
            model_sha256=self.graph.variants[self.variant].sha256,
            variant=self.variant,
            shapes={spec.name: batch.shapes(spec) for spec in self.graph.inputs},
            tensorrt=version,
            cuda=device.runtime // 1000 if device else 0,
            gpu=device.name if device else "",
            sm=device.sm if device else "",
            options=options,
        )


def open_tensorrt(
    path: Path,
    graph: Graph,
    *,
    threads: int | None = None,  # noqa: ARG001 - no CPU threads
    progress: Progress | None = None,
    options: BuildOptions | None = None,
    library: Library = TENSORRT,
    cuda_graphs: int = CUDA_GRAPHS,
) -> TensorRTEngine:
    """Run a graph of a bundle on this machine's GPU; the first time, and after updates, it is built first.

    Args:
        path: The ONNX file, from ``Bundle.graph_file``.
        graph: The manifest's entry.
        threads: Of no use here.
        progress: Told a build's steps; returning False stops it.
        options: How to build; ``None`` takes a plan however it was built, and builds with the defaults.
        library: What builds and runs it.
        cuda_graphs: As for ``TensorRTEngine``.

    Raises:
        BackendUnavailableError: The library, the CUDA bindings, the driver, the GPU or (to build) onnxruntime
            are missing.
        EngineError: Building or loading failed, or the plan computes something else.
        OutputError: The plan can't be written anywhere.
    """
    plan = PlanFile(ensure_plan(path, graph, options=options, progress=progress, library=library))
    host_code = plan.record().identity.options.version_compatible  # sealed: this user has built it
    try:
        return TensorRTEngine(
            plan.path,
            graph.inputs,
            graph.outputs,
            library=library,
            cuda_graphs=cuda_graphs,
            host_code=host_code,
        )
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
    library: Library = TENSORRT,
    rebuild: bool = False,
    beside: bool = True,
    trust: bool = False,
    check: bool = True,
    feeds: Tensors | None = None,
) -> Path:
    """A plan for this machine: the one at hand when it fits, else a new one. Says in one line why it builds.

    Only a plan that this user has built counts, wherever it lies. One that was built without a GPU is
    compared the first time that there is one.

    Args:
        path: The ONNX file, from ``Bundle.graph_file``.
        graph: The manifest's entry.
        options: How to build; ``None`` takes a plan however it was built, and builds with the defaults.
        progress: Told the build's steps; returning False stops it.
        library: What builds.
        rebuild: Build even if a plan fits.
        beside: Look and write beside the bundle first; else in the user's cache alone.
        trust: Take over a plan beside the bundle that somebody else has built. It is code.
        check: Compare a new plan with its graph in ONNX Runtime before it is kept.
        feeds: Inputs for the comparison; ``None`` makes some up.

    Returns:
        The plan's path.

    Raises:
        As for ``open_tensorrt``.
    """
    build = _Build(Source.of(path, graph), library, options, progress, beside, check, feeds)
    if trust:
        build.take_over()
    return build.ensure(rebuild=rebuild)


@dataclass(frozen=True)
class _Build:
    """Way in which a plan is found or made."""

    source: Source
    library: Library
    asked: BuildOptions | None
    progress: Progress | None
    beside: bool
    check: bool
    feeds: Tensors | None

    @cached_property
    def device(self) -> Device | None:
        return self.library.device()

    @cached_property
    def wanted(self) -> Identity:
        version = self.library.module().__version__
        chosen = self.asked or default_options(self.device)
        return self.source.identity(
            self.library.options_for(chosen, self.source.variant, self.device), self.device, version
        )

    @property
    def places(self) -> tuple[PlanFile, ...]:
        wanted = self.wanted
        folder = self.library.folder(self.device, wanted.options, wanted.tensorrt)
        found = places(self.source.path, wanted.model_sha256, folder)
        return found if self.beside else found[1:]

    def ensure(self, *, rebuild: bool) -> Path:
        fitting = None if rebuild else self._fitting()
        if fitting is None:
            place = first_writable(self.places)
            with place.locked():
                # Another process may have built it in the meantime.
                fitting = None if rebuild else self._fitting()
                if fitting is None:
                    return self._make(place, rebuild=rebuild)
        self._compare_late(fitting)
        return fitting.path

    def take_over(self) -> None:
        """Seal the plans of others that fit. Never one with code for the host."""
        ignored = () if self.asked else _HOW
        for place in self.places:
            if place.misfit(self.wanted, ignored, foreign=True) is not None or place.record().is_ours():
                continue
            if place.record().identity.options.version_compatible:
                _logger.warning("%s carries code for the host, so it is built anew", place.path)
            else:
                place.amend(verification={})

    def _fitting(self) -> PlanFile | None:
        ignored = () if self.asked else _HOW
        here = (place for place in self.places if place.misfit(self.wanted, ignored) is None)
        found = next(here, None)
        if found is None and self.device is not None:
            wanted = self.wanted
            others = earlier_places(self.source.path, wanted.model_sha256, self.device, wanted.tensorrt)
            fits = (one for one in others if one.misfit(wanted, {*ignored, "tensorrt"}) is None)
            found = next(fits, None)
        return found

    def _make(self, place: PlanFile, *, rebuild: bool) -> Path:
        ignored = () if self.asked else _HOW
        reason = "it was asked for" if rebuild else place.misfit(self.wanted, ignored)
        _logger.warning("building %s (%s); %s", place.path, reason, self.library.patience)
        reference = self._reference()  # asked for now, so that it isn't missed after minutes
        started = time.monotonic()
        built = build_plan(
            self.source.path,
            self.source.graph.inputs,
            self.wanted.options.batch_for(self.source.graph),
            self.wanted.options,
            library=self.library,
            device=self.device,
            timings=place.timings_path if self.library.keeps_timings else None,
            progress=self.progress,
        )
        seconds = round(time.monotonic() - started, 1)
        draft = _draft(place, built.plan)
        try:
            verification, inspection = self._judge(draft, built, reference)
            place.store(
                draft,
                Sidecar(
                    identity=self.wanted,
                    plan_sha256=sha256_of_bytes(built.plan),
                    driver=self.device.driver if self.device else 0,
                    runtime=self.device.runtime if self.device else 0,
                    build_seconds=seconds,
                    verification=verification,
                    inspection=inspection,
                ),
            )
        finally:
            draft.unlink(missing_ok=True)
        return place.path

    def _reference(self) -> Engine | None:
        """The same graph in ONNX Runtime, if there is a GPU for the comparison.

        A plan must compute what its graph says; how good that is, the export has measured.
        """
        if not (self.check and self.library.runs_here()):
            return None
        from emorec_rt.engines.ort import OrtEngine

        return OrtEngine(self.source.path, self.source.graph.inputs, self.source.graph.outputs)

    def _judge(
        self, draft: Path, built: Built, reference: Engine | None
    ) -> tuple[dict[str, float | int], Inspection | None]:
        layers = from_log(built.layers)
        verification: dict[str, float | int] = {}
        if reference is not None:
            engine = self._engine(draft)
            verification = self._compare(engine, draft.name, reference)
            layers = layers or engine.layers()
        if not layers:
            return verification, None
        sizes = {"engine_bytes": len(built.plan), "activation_bytes": built.activation_bytes}
        return verification, inspect(layers, **sizes)

    def _engine(self, plan: Path) -> TensorRTEngine:
        graph, host_code = self.source.graph, self.wanted.options.version_compatible
        return TensorRTEngine(
            plan, graph.inputs, graph.outputs, library=self.library, host_code=host_code, eager=True
        )

    def _compare(self, engine: TensorRTEngine, name: str, reference: Engine) -> dict[str, float | int]:
        found = compare(name, engine, reference, self.source.variant, self.feeds, largest=engine.max_batch)
        batch = min(self.wanted.options.batch_for(self.source.graph).best, engine.max_batch)
        return {**found.as_dict(), "latency_ms": latency_ms(engine, batch), "latency_batch": batch}

    def _compare_late(self, place: PlanFile) -> None:
        """Compare a plan that was built where no GPU was."""
        record = place.record()
        if record.verification or record.identity.gpu:
            return
        if reference := self._reference():
            found = self._compare(self._engine(place.path), place.path.name, reference)
            place.amend(verification=found)


def default_options(device: Device | None) -> BuildOptions:
    """Default options of a build: on a Jetson its memory plan, which leaves room for Linux."""
    if device is None or not device.integrated:
        return DEFAULTS
    from emorec_rt.machine.jetson.plan import plan_memory  # it needs this package

    plan = plan_memory(device.memory_bytes >> 20, desktop=desktop_runs())
    return BuildOptions(
        batch=up_to(plan.batch),
        windows=up_to(chunks_beside(plan.batch)),
        workspace_bytes=plan.workspace_mib << 20,
    )


def _draft(place: PlanFile, data: bytes) -> Path:
    """A new plan under a name that nothing loads, until it has been compared.

    Whoever builds holds the plan's lock, so that what is there already was left by a process that was killed.
    """
    try:
        for left in place.path.parent.glob(f"{place.path.name}.*.new"):
            left.unlink(missing_ok=True)
        handle, name = tempfile.mkstemp(dir=place.path.parent, prefix=f"{place.path.name}.", suffix=".new")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(name).chmod(0o644)
    except OSError as error:
        raise OutputError(place.path, f"the plan can't be written ({error.strerror})") from error
    return Path(name)
