"""Inference libraries behind one base class. A backend is one module with ``BACKEND``, and one line here."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emorec_rt.bundle import Bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision
from emorec_rt.engines.base import Backend, Engine, Progress
from emorec_rt.engines.measuring import Measured, Question
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError, OutputError, UsageError
from emorec_rt.machine.cpu import has_int8_dot_products

AUTO: Final = "auto"
_MARK: Final = "://"
_logger = logging.getLogger(__name__)

BACKENDS: Final[dict[str, str]] = {
    "tensorrt": "emorec_rt.engines.tensorrt",
    "tensorrt-rtx": "emorec_rt.engines.tensorrt_rtx",
    "onnxruntime-cuda": "emorec_rt.engines.ort_cuda",
    "openvino": "emorec_rt.engines.ov",
    "onnxruntime": "emorec_rt.engines.ort",
    "onnxruntime-tensorrt": "emorec_rt.engines.ort_tensorrt",
    "torch-tensorrt": "emorec_torch.tensorrt",
    "triton": "emorec_rt.engines.triton",
}
"""Module by name, fastest first where the CPU has 8-bit dot products; see ``by_speed``."""


def by_speed() -> list[str]:
    """Names of ``BACKENDS``, fastest first on this CPU.

    OpenVINO comes last without 8-bit dot products (AVX2 alone), where INT8 in ONNX Runtime is faster: 0.94
    against 0.55 times real time at full size on two cores (``benchmarks/results/auto.amd-avx2.json``).
    """
    last = "openvino" if has_int8_dot_products() is False else None
    return sorted(BACKENDS, key=lambda name: name == last)


def is_backend(name: str) -> bool:
    """Say whether there is such a backend: one of ``BACKENDS``, or a server's with its address."""
    kind, mark, _ = name.partition(_MARK)
    return kind in BACKENDS and (not mark or describe(kind).at is not None)


def describe(name: str) -> Backend:
    """One of ``BACKENDS``, as its module describes it, or a server's with its address."""
    kind, mark, address = name.partition(_MARK)
    described: Backend = importlib.import_module(BACKENDS[kind]).BACKEND
    return described.at(address) if mark and described.at is not None else described


def choose_backend(
    name: str = AUTO,
    bundle: Bundle | None = None,
    *,
    precision: Precision | None = None,
    threads: int | None = None,
    measure: bool = False,
) -> str:
    """The backend that ``name`` means on this machine.

    Args:
        name: One of ``BACKENDS``, or ``auto``.
        bundle: What it is to run; ``None`` goes by the table alone.
        precision: In which variant; ``None`` takes each backend's choice.
        threads: Threads of the library; ``None`` takes one for each core.
        measure: Whether ``auto`` may time the libraries of the CPU, see ``measuring``.

    Raises:
        UsageError: No backend has this name.
        BackendUnavailableError: ``auto``, and no library is installed at all.
    """
    return next(_candidates(name, _Use(bundle, precision, threads) if bundle and measure else None))


def default_precision(bundle: Bundle, name: str) -> Precision:
    """The variant of a bundle that one of ``BACKENDS`` runs where nobody asks for one."""
    return describe(name).precision(bundle.manifest)


@dataclass(frozen=True, slots=True)
class _Use:
    """What ``auto`` is asked for; see ``choose_backend``."""

    bundle: Bundle
    precision: Precision | None
    threads: int | None


def _candidates(name: str, use: _Use | None) -> Iterator[str]:
    """The backends to try, best first; at least one."""
    if is_backend(name):
        yield name
        return
    if name != AUTO:
        raise UsageError(f"unknown backend {name}; there are {AUTO}, {', '.join(BACKENDS)}")
    names = _automatic()
    first = next(names, None)
    if first is None:
        raise BackendUnavailableError(AUTO, "an inference library", "pip install 'emorec[cpu]'")
    if use is not None and describe(first).on_cpu:
        yield from _by_measurement([first, *names], use)
        return
    yield first
    yield from names


def _automatic() -> Iterator[str]:
    """What ``auto`` may take here, by the table; a library is asked when its turn comes."""
    for candidate in by_speed():
        described = describe(candidate)
        if described.automatic and described.unavailable() is None:
            yield candidate


def _by_measurement(names: list[str], use: _Use) -> list[str]:
    """The names, those that were timed leading, where timing them is worth it."""
    question = _question(names, use)
    if not question.worthwhile:
        return names
    answer = question.kept()
    if answer is None or not answer.settled:
        answer = question.measured()
        _logger.warning("auto: %s with %s here; kept in %s", answer, answer.bundle, question.folder)
    return answer.reordered(names)


def kept_answer(
    bundle: Bundle, *, precision: Precision | None = None, threads: int | None = None
) -> Measured | None:
    """What ``auto`` has measured with a bundle on this machine; ``None`` where it has not."""
    question = _question(list(_automatic()), _Use(bundle, precision, threads))
    return question.kept() if question.worthwhile else None


def _question(names: list[str], use: _Use) -> Question:
    backends = {name: known for name in names if (known := describe(name)).on_cpu}
    precisions = {name: use.precision or default_precision(use.bundle, name) for name in backends}
    return Question(use.bundle, precisions, backends, use.threads)


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
    measure: bool = False,
) -> tuple[str, dict[GraphName, Engine]]:
    """Load several graphs of a bundle in one backend.

    ``auto`` takes the fastest backend that works here and loads all of them; what it passes over for an
    error, a line in the log tells. Arguments are those of ``open_engine``; ``progress`` is called
    with each step where a plan is built first; ``measure`` is that of ``choose_backend``.

    Returns:
        The backend's name, and the engines.

    Raises:
        As for ``open_engine``.
    """
    names = tuple(graphs)
    reason: BundleError | EngineError | BackendUnavailableError | OutputError | None = None
    for candidate in _candidates(backend, _Use(bundle, precision, threads) if measure else None):
        if reason is not None:
            _logger.warning("%s instead, because: %s", candidate, reason)
        wanted = precision or default_precision(bundle, candidate)
        paths = {name: bundle.graph_file(name, wanted) for name in names}
        try:
            return candidate, _loaded(describe(candidate), bundle, paths, threads, progress)
        except (BundleError, EngineError, BackendUnavailableError, OutputError) as error:
            reason = error
    assert reason is not None  # noqa: S101 - there is at least one candidate
    raise reason


def _loaded(
    backend: Backend,
    bundle: Bundle,
    paths: dict[GraphName, Path],
    threads: int | None,
    progress: Progress | None,
) -> dict[GraphName, Engine]:
    """The graphs in one library; on a CPU all at once, since loading one keeps one core busy."""
    graphs = bundle.manifest.graphs
    if not backend.on_cpu:
        return {
            name: backend.open(path, graphs[name], threads=threads, progress=progress)
            for name, path in paths.items()
        }
    with ThreadPoolExecutor(len(paths)) as pool:
        loading = {
            name: pool.submit(backend.open, path, graphs[name], threads=threads)
            for name, path in paths.items()
        }
    return {name: future.result() for name, future in loading.items()}
