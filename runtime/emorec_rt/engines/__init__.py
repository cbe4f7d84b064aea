"""Inference libraries behind one protocol. A backend is one file (or folder) and one line in ``BACKENDS``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from emorec_rt.bundle import Bundle
from emorec_rt.engines.base import Engine
from emorec_rt.errors import BackendUnavailableError, UsageError
from emorec_rt.manifest import Graph, GraphName, Precision

AUTO: Final = "auto"


@dataclass(frozen=True, slots=True)
class Backend:
    """How to open a graph with one library.

    Attributes:
        open: Loads a graph: file, its manifest entry, threads.
        works: Whether ``auto`` may choose it on this machine.
    """

    open: Callable[[Path, Graph, int | None], Engine]
    works: Callable[[], bool]


def _onnxruntime(path: Path, graph: Graph, threads: int | None) -> Engine:
    from emorec_rt.engines.ort import OrtEngine

    return OrtEngine(path, graph.inputs, graph.outputs, threads=threads)


def _openvino(path: Path, graph: Graph, threads: int | None) -> Engine:
    from emorec_rt.engines.ov import OpenVinoEngine

    return OpenVinoEngine(path, graph.inputs, graph.outputs, threads=threads)


def _tensorrt(path: Path, graph: Graph, threads: int | None) -> Engine:  # noqa: ARG001 - no CPU threads
    from emorec_rt.engines.tensorrt import open_tensorrt

    return open_tensorrt(path, graph)


def _tensorrt_works() -> bool:
    from emorec_rt.engines.tensorrt import unavailable

    return _installed("tensorrt") and unavailable() is None


def _installed(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


BACKENDS: Final[dict[str, Backend]] = {
    "tensorrt": Backend(_tensorrt, _tensorrt_works),
    "openvino": Backend(_openvino, partial(_installed, "openvino")),
    "onnxruntime": Backend(_onnxruntime, partial(_installed, "onnxruntime")),
}
"""By name, fastest first: ``auto`` takes the first that works on this machine."""


def choose_backend(name: str = AUTO) -> str:
    """The backend that ``name`` means on this machine.

    Raises:
        UsageError: No backend has this name.
        BackendUnavailableError: ``auto``, and no library is installed at all.
    """
    if name in BACKENDS:
        return name
    if name != AUTO:
        raise UsageError(f"unknown backend {name}; there are {AUTO}, {', '.join(BACKENDS)}")
    for candidate, backend in BACKENDS.items():
        if backend.works():
            return candidate
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
        precision: Which variant; ``None`` takes the bundle's own choice.
        threads: Threads of the library; ``None`` takes one for each core.

    Raises:
        UsageError: Unknown backend or variant.
        BundleError: The file is missing or has changed.
        BackendUnavailableError: The library is not installed.
    """
    path = bundle.graph_file(graph, precision or bundle.manifest.precision)
    return BACKENDS[choose_backend(backend)].open(path, bundle.manifest.graphs[graph], threads)
