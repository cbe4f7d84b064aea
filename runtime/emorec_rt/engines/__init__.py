"""Inference libraries behind one base class. A backend is one module with ``BACKEND``, and one line here."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Iterator
from typing import Final

from emorec_rt.bundle import Bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision
from emorec_rt.engines.base import Backend, Engine, Progress
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError, OutputError, UsageError
from emorec_rt.machine.cpu import has_int8_dot_products

AUTO: Final = "auto"
_logger = logging.getLogger(__name__)

BACKENDS: Final[dict[str, str]] = {
    "tensorrt": "emorec_rt.engines.tensorrt",
    "tensorrt-rtx": "emorec_rt.engines.tensorrt_rtx",
    "onnxruntime-cuda": "emorec_rt.engines.ort_cuda",
    "openvino": "emorec_rt.engines.ov",
    "onnxruntime": "emorec_rt.engines.ort",
    "onnxruntime-tensorrt": "emorec_rt.engines.ort_tensorrt",
    "torch-tensorrt": "emorec_torch.tensorrt",
}
"""Module by name, fastest first where the CPU has 8-bit dot products; see ``by_speed``."""


def by_speed() -> list[str]:
    """Names of ``BACKENDS``, fastest first on this CPU.

    Without 8-bit dot products (AVX2 alone), OpenVINO runs INT8 slower than FP32, and ONNX Runtime doesn't:
    0.48 against 0.83 times real time at full size on two cores of an AMD Zen 3.
    """
    names = list(BACKENDS)
    if has_int8_dot_products() is False:
        names.remove("onnxruntime")
        names.insert(names.index("openvino"), "onnxruntime")
    return names


def describe(name: str) -> Backend:
    """One of ``BACKENDS``, as its module describes it."""
    described: Backend = importlib.import_module(BACKENDS[name]).BACKEND
    return described


def choose_backend(name: str = AUTO) -> str:
    """The backend that ``name`` means on this machine.

    Raises:
        UsageError: No backend has this name.
        BackendUnavailableError: ``auto``, and no library is installed at all.
    """
    return next(_candidates(name))


def default_precision(bundle: Bundle, name: str) -> Precision:
    """The variant of a bundle that one of ``BACKENDS`` runs where nobody asks for one."""
    return describe(name).precision(bundle.manifest)


def _candidates(name: str) -> Iterator[str]:
    """The backends to try, best first; at least one."""
    if name in BACKENDS:
        yield name
        return
    if name != AUTO:
        raise UsageError(f"unknown backend {name}; there are {AUTO}, {', '.join(BACKENDS)}")
    found = False
    for candidate in by_speed():
        described = describe(candidate)
        if described.automatic and described.unavailable() is None:
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
    error, a line in the log tells. Arguments are those of ``open_engine``; ``progress`` is called
    with each step where a plan is built first.

    Returns:
        The backend's name, and the engines.

    Raises:
        As for ``open_engine``.
    """
    names = tuple(graphs)
    reason: BundleError | EngineError | BackendUnavailableError | OutputError | None = None
    for candidate in _candidates(backend):
        if reason is not None:
            _logger.warning("%s instead, because: %s", candidate, reason)
        wanted = precision or default_precision(bundle, candidate)
        paths = {name: bundle.graph_file(name, wanted) for name in names}
        chosen = describe(candidate)
        try:
            return candidate, {
                name: chosen.open(path, bundle.manifest.graphs[name], threads=threads, progress=progress)
                for name, path in paths.items()
            }
        except (BundleError, EngineError, BackendUnavailableError, OutputError) as error:
            reason = error
    assert reason is not None  # noqa: S101 - there is at least one candidate
    raise reason
