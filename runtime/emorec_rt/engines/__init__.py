"""Inference libraries behind one protocol. A backend is one file and one line in ``BACKENDS``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from emorec_rt.bundle import Bundle
from emorec_rt.engines.base import Engine
from emorec_rt.errors import UsageError
from emorec_rt.manifest import Graph, GraphName, Precision

Opener = Callable[[Path, Graph, int | None], Engine]


def _onnxruntime(path: Path, graph: Graph, threads: int | None) -> Engine:
    from emorec_rt.engines.ort import OrtEngine

    return OrtEngine(path, graph.inputs, graph.outputs, threads=threads)


BACKENDS: Final[dict[str, Opener]] = {"onnxruntime": _onnxruntime}


def open_engine(
    bundle: Bundle,
    graph: GraphName,
    *,
    backend: str = "onnxruntime",
    precision: Precision | None = None,
    threads: int | None = None,
) -> Engine:
    """Load one graph of a bundle.

    Args:
        bundle: Where the graph lies.
        graph: Which graph.
        backend: One of ``BACKENDS``.
        precision: Which variant; ``None`` takes the bundle's own choice.
        threads: Threads of the library; ``None`` takes one for each core.

    Raises:
        UsageError: Unknown backend or variant.
        BundleError: The file is missing or has changed.
        BackendUnavailableError: The library is not installed.
    """
    if backend not in BACKENDS:
        raise UsageError(f"unknown backend {backend}; there are {', '.join(BACKENDS)}")
    precision = precision or bundle.manifest.precision
    path = bundle.graph_file(graph, precision)
    return BACKENDS[backend](path, bundle.manifest.graphs[graph], threads)
