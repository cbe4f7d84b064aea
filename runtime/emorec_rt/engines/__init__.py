"""Inference libraries behind one protocol. A backend is one file (or folder) and one line in ``BACKENDS``."""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from emorec_rt.bundle import Bundle
from emorec_rt.engines.base import Engine
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError, NoGpuError, UsageError
from emorec_rt.manifest import GRAPH_NAMES, Graph, GraphName, Precision

if TYPE_CHECKING:
    from emorec_rt.engines.tensorrt.progress import Progress

AUTO: Final = "auto"
_logger = logging.getLogger(__name__)


def _bundles_own(bundle: Bundle) -> Precision:
    return bundle.manifest.precision


@dataclass(frozen=True, slots=True)
class Backend:
    """How to open a graph with one library.

    Attributes:
        open: Loads a graph: file, its manifest entry, threads; and ``progress``, if it ``builds``.
        unavailable: Why it can't run on this machine, in one line; ``None`` when it can. Quick where it
            can't: nothing large is loaded before the driver has been asked for a GPU.
        automatic: Whether ``auto`` may choose it.
        builds: Whether loading a graph for the first time may take minutes.
        precision: The variant that it runs where nobody asks for one.
    """

    open: Callable[..., Engine]
    unavailable: Callable[[], str | None]
    automatic: bool = True
    builds: bool = False
    precision: Callable[[Bundle], Precision] = _bundles_own


def _onnxruntime(path: Path, graph: Graph, threads: int | None) -> Engine:
    from emorec_rt.engines.ort import OrtEngine

    return OrtEngine(path, graph.inputs, graph.outputs, threads=threads)


def _openvino(path: Path, graph: Graph, threads: int | None) -> Engine:
    from emorec_rt.engines.ov import OpenVinoEngine

    return OpenVinoEngine(path, graph.inputs, graph.outputs, threads=threads)


def _tensorrt(
    path: Path,
    graph: Graph,
    threads: int | None,  # noqa: ARG001 - no CPU threads
    progress: Progress | None = None,
) -> Engine:
    from emorec_rt.engines.tensorrt import open_tensorrt

    return open_tensorrt(path, graph, progress=progress)


def _torch_tensorrt(path: Path, graph: Graph, threads: int | None) -> Engine:  # noqa: ARG001
    from emorec_rt.engines.torch_tensorrt import open_torch_tensorrt

    return open_torch_tensorrt(path, graph)


def _onnxruntime_cuda(path: Path, graph: Graph, threads: int | None) -> Engine:
    from emorec_rt.engines.ort_gpu import open_cuda

    return open_cuda(path, graph, threads)


def _onnxruntime_tensorrt(path: Path, graph: Graph, threads: int | None) -> Engine:
    from emorec_rt.engines.ort_gpu import open_tensorrt_provider

    return open_tensorrt_provider(path, graph, threads)


def _tensorrt_unavailable() -> str | None:
    from emorec_rt.engines.nvidia import no_gpu
    from emorec_rt.engines.tensorrt import unavailable

    # Where it is not installed, that is the more useful line; where it is, loading it for nothing takes long.
    if importlib.util.find_spec("tensorrt") is not None and (reason := no_gpu()):
        return str(NoGpuError(reason))
    return unavailable()


def _tensorrt_precision(bundle: Bundle) -> Precision:
    """On a Jetson what its memory plan says, elsewhere the GPU's form of the bundle's own choice."""
    from emorec_rt.engines.tensorrt.api import on_jetson

    if on_jetson():
        from emorec_rt.jetson.plan import variant_for

        return variant_for(bundle.manifest)
    return _first_of(bundle, _ON_TENSORRT[bundle.manifest.precision])


def _cuda_precision(bundle: Bundle) -> Precision:
    """FP16, where the bundle has it: ONNX Runtime has no INT8 kernels for GPUs worth having."""
    return _first_of(bundle, ("fp16", "fp32", bundle.manifest.precision))


_ON_TENSORRT: Final[dict[Precision, tuple[Precision, ...]]] = {
    "fp32": ("fp16", "fp32"),
    "fp16": ("fp16",),
    "int8": ("int8-fp16", "int8"),
    "int8-fp16": ("int8-fp16",),
    "fp8": ("fp8",),
}
"""What a bundle's own choice, which is made for CPUs, becomes on a GPU: the first that the bundle has."""


def _first_of(bundle: Bundle, wanted: tuple[Precision, ...]) -> Precision:
    """The first of these variants that all graphs have; the bundle's own choice always is one."""
    graphs = bundle.manifest.graphs.values()
    there = (name for name in wanted if all(name in graph.variants for graph in graphs))
    return next(there, bundle.manifest.precision)


def _torch_tensorrt_unavailable() -> str | None:
    from emorec_rt.engines.torch_tensorrt import unavailable

    return unavailable()


def _provider_unavailable(backend: str) -> str | None:
    from emorec_rt.engines.ort_providers import unavailable

    return unavailable(backend)


def _not_installed(module: str, extra: str) -> str | None:
    if importlib.util.find_spec(module) is None:
        return str(BackendUnavailableError(module, module, f"pip install 'emorec[{extra}]'"))
    return None


BACKENDS: Final[dict[str, Backend]] = {
    "tensorrt": Backend(_tensorrt, _tensorrt_unavailable, builds=True, precision=_tensorrt_precision),
    # By name only: it needs programs that were compiled on this machine, and torch.
    "torch-tensorrt": Backend(_torch_tensorrt, _torch_tensorrt_unavailable, automatic=False),
    # By name only: it builds for minutes, and nothing compares what it has built.
    "onnxruntime-tensorrt": Backend(
        _onnxruntime_tensorrt, partial(_provider_unavailable, "onnxruntime-tensorrt"), automatic=False
    ),
    "onnxruntime-cuda": Backend(
        _onnxruntime_cuda, partial(_provider_unavailable, "onnxruntime-cuda"), precision=_cuda_precision
    ),
    "openvino": Backend(_openvino, partial(_not_installed, "openvino", "openvino")),
    "onnxruntime": Backend(_onnxruntime, partial(_not_installed, "onnxruntime", "cpu")),
}
"""By name, fastest first: ``auto`` takes the first that works on this machine."""


def choose_backend(name: str = AUTO) -> str:
    """The backend that ``name`` means on this machine.

    Raises:
        UsageError: No backend has this name.
        BackendUnavailableError: ``auto``, and no library is installed at all.
    """
    return next(_candidates(name))


def default_precision(bundle: Bundle, backend: str) -> Precision:
    """The variant of a bundle that one of ``BACKENDS`` runs where nobody asks for one."""
    return BACKENDS[backend].precision(bundle)


def _candidates(name: str) -> Iterator[str]:
    """The backends to try, best first; at least one."""
    if name in BACKENDS:
        yield name
        return
    if name != AUTO:
        raise UsageError(f"unknown backend {name}; there are {AUTO}, {', '.join(BACKENDS)}")
    found = False
    for candidate, backend in BACKENDS.items():
        if backend.automatic and backend.unavailable() is None:
            found = True
            yield candidate
    if not found:
        raise BackendUnavailableError(AUTO, "an inference library", "pip install 'emorec[cpu]'")


def open_engine(
    bundle: Bundle,
    graph: GraphName,
    *,
    backend: str = AUTO,
    precision: Precision | None = None,
    threads: int | None = None,
) -> Engine:
    """Load one graph of a bundle.

    Args:
        bundle: Where the graph lies.
        graph: Which graph.
        backend: One of ``BACKENDS``, or ``auto``.
        precision: Which variant; ``None`` takes the backend's choice, see ``default_precision``.
        threads: Threads of the library; ``None`` takes one for each core.

    Raises:
        UsageError: Unknown backend or variant.
        BundleError: The file is missing or has changed.
        BackendUnavailableError: The library is not installed.
    """
    return open_engines(bundle, (graph,), backend=backend, precision=precision, threads=threads)[1][graph]


def open_engines(
    bundle: Bundle,
    graphs: Iterable[GraphName] = GRAPH_NAMES,
    *,
    backend: str = AUTO,
    precision: Precision | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> tuple[str, dict[GraphName, Engine]]:
    """Load several graphs of a bundle in one backend.

    ``auto`` takes the fastest backend that works here and loads all of them; what it passes over for an
    error, a line in the log tells. Arguments are those of ``open_engine``; ``progress`` is told the steps
    where a plan is built first.

    Returns:
        The backend's name, and the engines.

    Raises:
        As for ``open_engine``.
    """
    names = tuple(graphs)
    reason: BundleError | EngineError | BackendUnavailableError | None = None
    for candidate in _candidates(backend):
        if reason is not None:
            _logger.warning("%s instead, because: %s", candidate, reason)
        wanted = precision or default_precision(bundle, candidate)
        paths = {name: bundle.graph_file(name, wanted) for name in names}
        chosen = BACKENDS[candidate]
        told = {"progress": progress} if chosen.builds else {}
        try:
            return candidate, {
                name: chosen.open(path, bundle.manifest.graphs[name], threads, **told)
                for name, path in paths.items()
            }
        except (BundleError, EngineError, BackendUnavailableError) as error:
            reason = error
    assert reason is not None  # noqa: S101 - there is at least one candidate
    raise reason
