"""After the bundle: each backend that was asked for builds its own, or shows that it reads the graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import onnx

from emorec_export.bundle import add_engines
from emorec_export.quantize import quantised_nodes
from emorec_export.report import EngineReport
from emorec_rt.bundle import Bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, Precision
from emorec_rt.engines import describe
from emorec_rt.engines.base import Progress
from emorec_rt.engines.preparing import Prepared, no_faster, prepare
from emorec_rt.engines.tensorrt.options import DEFAULTS, BuildOptions
from emorec_rt.errors import BackendUnavailableError, EmorecError
from emorec_train.model.checkpoint import Checkpoint

ALL: Final = "all"
CHOICES: Final = ("onnxruntime", "openvino", "tensorrt", "tensorrt-rtx", "torch-tensorrt")
"""Backends of ``all``. onnxruntime's GPU providers run the same files; ``emorec-rt build`` checks them."""


PORTABLE: Final = "tensorrt-rtx"
"""Its engines run on other machines, too."""


GPU_VARIANTS: Final = frozenset({"fp16", "int8-fp16", "fp8"})


class NotPreparedError(EmorecError, RuntimeError):
    """The bundle is there, but some backends that ``all`` means are not."""


@dataclass(frozen=True, slots=True)
class Selection:
    """Plans and checks to prepare.

    Attributes:
        usable: Backends that work on this machine.
        missing: One line for each of the others, with what to do.
    """

    usable: tuple[str, ...]
    missing: tuple[str, ...]


def select(names: Iterable[str]) -> Selection:
    """Ask each backend whether it works here, before anything is built.

    Args:
        names: Of ``CHOICES``, or ``all``.

    Raises:
        BackendUnavailableError: One that was asked for by name doesn't.
    """
    wanted = tuple(dict.fromkeys(names))
    reasons = {name: describe(name).unbuildable() for name in (CHOICES if ALL in wanted else wanted)}
    for name, reason in reasons.items():
        if reason is not None and name in wanted:
            raise _UnavailableHereError(reason)
    return Selection(
        usable=tuple(name for name, reason in reasons.items() if reason is None),
        missing=tuple(reason for reason in reasons.values() if reason is not None),
    )


class _UnavailableHereError(BackendUnavailableError):
    """A line that a backend has already put together."""

    def __init__(self, line: str) -> None:
        ImportError.__init__(self, line)


def prepare_all(
    checkpoint: Checkpoint,
    bundle: Bundle,
    selection: Selection,
    say: Callable[[str], None],
    *,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
    ship: bool = False,
    strict: bool = False,
) -> None:
    """Prepare a bundle for the backends of a selection; tell each graph as it is ready.

    What builders have made of the graphs goes into the bundle's manifest and page.

    Args:
        checkpoint: What the bundle was exported from; torch-tensorrt compiles its modules.
        bundle: The bundle.
        selection: From ``select``.
        say: Takes lines.
        options: Of plans and programs.
        progress: Told the steps of TensorRT's builds.
        ship: Keep portable engines (``tensorrt-rtx``) in the bundle; else in the user's cache.
        strict: Fail where an engine computes a product of the recipe in larger numbers.

    Raises:
        NotPreparedError: At the end, where the selection misses some, or ``strict`` finds something.
        EngineError: A build failed, or something else is computed.
        OutputError: A plan or a program can't be written.
    """
    engines: list[EngineReport] = []
    for name in selection.usable:
        ready = []
        for made in _prepare(name, checkpoint, bundle, options, progress, ship=ship):
            ready.append(made)
            say(f"{name:<15}{_line(made)}  {_relative(made.path, bundle)}")
            engines += _judged(name, made, bundle)
        for line in no_faster(ready, name):
            say(f"warning: {line}")
    add_engines(bundle.folder, engines)
    strays = [line for engine in engines for line in engine.warnings()]
    for line in strays:
        say(f"warning: {line}")
    missing = [*selection.missing, *(strays if strict else ())]
    if missing:
        raise NotPreparedError(f"{bundle.folder} is complete, but: {'; '.join(missing)}")


def _judged(name: str, made: Prepared, bundle: Bundle) -> Iterator[EngineReport]:
    """The layer table against the graph's own Q/DQ."""
    if made.inspection is None:
        return
    quantised = quantised_nodes(onnx.load(bundle.graph_file(made.graph, made.precision)))
    yield EngineReport(
        backend=name,
        graph=made.graph,
        precision=made.precision,
        built_for=made.built_for,
        inspection=made.inspection.against(quantised),
    )


def _prepare(
    name: str,
    checkpoint: Checkpoint,
    bundle: Bundle,
    options: BuildOptions | None,
    progress: Progress | None,
    *,
    ship: bool,
) -> Iterator[Prepared]:
    if name == "torch-tensorrt":
        return _programs(checkpoint, bundle, options)
    variants = precisions(bundle)
    if name in {"tensorrt", PORTABLE}:
        # The others are forms for CPUs.
        variants = [precision for precision in variants if precision in GPU_VARIANTS] or variants
    if name == "tensorrt":
        variants = [precision for precision in variants if _fits_gpu(precision)]
    beside = ship or name != PORTABLE
    return prepare(bundle, name, variants, options=options, beside=beside, progress=progress)


def _fits_gpu(precision: Precision) -> bool:
    from emorec_rt.engines.tensorrt.cuda import current_device
    from emorec_rt.engines.tensorrt.library import FP8_FROM

    return precision != "fp8" or current_device().compute_capability >= FP8_FROM


def precisions(bundle: Bundle) -> list[Precision]:
    """The variants that every graph of a bundle has."""
    graphs = list(bundle.manifest.graphs.values())
    return [
        precision for precision in graphs[0].variants if all(precision in graph.variants for graph in graphs)
    ]


def _programs(checkpoint: Checkpoint, bundle: Bundle, options: BuildOptions | None) -> Iterator[Prepared]:
    from emorec_export.torch_programs import PRECISION, compile_program

    modules = {"vision": checkpoint.vision, "audio": checkpoint.audio, "fusion": checkpoint.fusion}
    for graph in GRAPH_NAMES:
        path, found = compile_program(graph, modules[graph], bundle, options=options or DEFAULTS)
        yield Prepared(graph, PRECISION, path, found.cosine)


def _line(made: Prepared) -> str:
    cosine = "kept" if made.cosine is None else f"cosine {made.cosine:.5f}"
    speed = "" if made.latency_ms is None else f"  {made.latency_ms:.2f} ms for {made.latency_batch}"
    layers = "" if made.inspection is None else f"  {made.inspection.line()}"
    return f"{made.graph:<8}{made.precision:<10}{cosine}{speed}{layers}"


def _relative(path: Path, bundle: Bundle) -> Path:
    return path.relative_to(bundle.folder) if path.is_relative_to(bundle.folder) else path
