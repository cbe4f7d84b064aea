"""The base class of every engine, and the description of every backend."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from operator import attrgetter
from pathlib import Path
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Graph, Manifest, Precision, TensorSpec
from emorec_rt.constants import CPU_BATCH
from emorec_rt.errors import BackendUnavailableError, EngineError

Tensors = Mapping[str, NDArray[Any]]

Progress = Callable[[str, int, int], bool]
"""Called with the phase of a build, steps done and steps in all; returning False stops the build."""

CPU_LANES: Final = 2
"""Lanes of an engine on the CPU. Measured with two cores alone."""


class Engine(ABC):
    """A loaded graph that maps named arrays to named arrays; the batch is the first dimension of each.

    Attributes:
        inputs: Tensors that go in.
        outputs: Tensors that come out.
        lanes: Batches that it runs at once, from threads of the caller. On a CPU, two batches on half of the
            cores each are done sooner than one after the other on all of them: no thread waits for the
            slowest one of a layer, nor for one whose core is decoding.
        ahead: Batches more that it takes in than it runs: a library with a queue of its own then goes from
            one batch to the next without waiting for Python.
        best_batch: Items to give it at once where nobody asks for a number.
        takes_device_arrays: Inputs may be ``DeviceBatch``: they are copied within the GPU.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    lanes: int = 1
    ahead: int = 0
    best_batch: int = CPU_BATCH
    takes_device_arrays: bool = False

    @abstractmethod
    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch.

        Args:
            feeds: One array for each input, with the input's dtype and shape.

        Returns:
            One array for each output; the caller owns them.

        Raises:
            EngineError: A wrong tensor, or the library failed.
        """


class Open(Protocol):
    """Load a graph of a bundle with one library."""

    def __call__(
        self, path: Path, graph: Graph, *, threads: int | None = None, progress: Progress | None = None
    ) -> Engine:
        """Load a graph.

        Args:
            path: The ONNX file, from ``Bundle.graph_file``.
            graph: The manifest's entry.
            threads: CPU threads of the library; ``None`` takes one for each core.
            progress: Called with each step where a plan is built first.

        Raises:
            BackendUnavailableError: The library is not installed, or has no GPU.
            BundleError: The graph's inputs or outputs are not the manifest's.
            EngineError: The library can't load the graph.
        """
        ...


@dataclass(frozen=True, slots=True)
class Backend:
    """A library that runs graphs, as its module describes it.

    Attributes:
        open: Loads a graph.
        unavailable: Tells why it can't run on this machine, in one line; ``None`` when it can. Quick where it
            can't: nothing large is loaded before the driver has been asked for a GPU.
        install: Command that adds it.
        package: Distribution whose release ``doctor`` shows; empty where that says nothing.
        automatic: Whether ``auto`` may choose it.
        on_cpu: Whether it runs on the CPU, where ``auto`` may have to time it.
        precision: Chooses the variant of a bundle that it runs where nobody asks for one.
        build: Builds a plan ahead; ``None`` for a library that takes the ONNX file as it is.
        at: Gives the backend of a server at an address; ``None`` for a library of this machine.
        cannot_build: Tells why it can't build on this machine, which may need less than running; ``None``: as
            ``unavailable``.
    """

    open: Open
    unavailable: Callable[[], str | None]
    install: str
    package: str = ""
    automatic: bool = True
    on_cpu: bool = False
    precision: Callable[[Manifest], Precision] = attrgetter("precision")
    build: Callable[..., Path] | None = None
    cannot_build: Callable[[], str | None] | None = None
    at: Callable[[str], Backend] | None = None

    def unbuildable(self) -> str | None:
        """Reason why nothing can be prepared with it here, in one line; ``None`` when something can."""
        return (self.cannot_build or self.unavailable)()


def first_variant(manifest: Manifest, wanted: Iterable[Precision]) -> Precision:
    """The first of these variants that all graphs have; without one, the bundle's own choice."""
    graphs = manifest.graphs.values()
    there = (name for name in wanted if all(name in graph.variants for graph in graphs))
    return next(there, manifest.precision)


def not_installed(module: str, backend: str, install: str) -> str | None:
    """Reason why a backend can't run where its module is missing, in one line; ``None`` when it is there."""
    if not is_installed(module):
        return str(BackendUnavailableError(backend, module, install))
    return None


def cpu_lanes(threads: int) -> int:
    """Lanes for so many threads."""
    return min(CPU_LANES, threads)


def check_feeds(inputs: tuple[TensorSpec, ...], feeds: Tensors) -> None:
    """Refuse wrong tensors at the boundary, saying what came and what was expected.

    Raises:
        EngineError: A tensor is missing, unknown, or has the wrong dtype or shape.
    """
    if set(feeds) != {spec.name for spec in inputs}:
        raise EngineError(f"expected inputs {[spec.name for spec in inputs]}, got {sorted(feeds)}")
    for spec in inputs:
        array = feeds[spec.name]
        fits = len(array.shape) == len(spec.shape) and all(
            want in (-1, have) for want, have in zip(spec.shape, array.shape, strict=True)
        )
        if array.dtype.name != spec.dtype or not fits:
            raise EngineError(
                f"input {spec.name}: expected {spec.dtype}{list(spec.shape)}, "
                f"got {array.dtype.name}{list(array.shape)}"
            )


def check_results(outputs: tuple[TensorSpec, ...], results: Tensors, batch: int) -> None:
    """Refuse what a graph gives against its own declaration: buffers and rows are cut by it.

    Raises:
        EngineError: An output has another dtype or shape.
    """
    for spec in outputs:
        expected, found = (batch, *spec.shape[1:]), results[spec.name]
        if found.shape != expected or found.dtype.name != spec.dtype:
            raise EngineError(
                f"output {spec.name}: expected {spec.dtype}{list(expected)}, the graph gives "
                f"{found.dtype.name}{list(found.shape)}; it is not what its manifest declares"
            )


def common_batch(feeds: Tensors) -> int:
    """The batch that all inputs share.

    Raises:
        EngineError: They don't.
    """
    sizes = {name: len(array) for name, array in feeds.items()}
    if len(set(sizes.values())) != 1:
        raise EngineError(f"the inputs' batches differ: {sizes}")
    return next(iter(sizes.values()))


def is_installed(module: str) -> bool:
    """Say whether Python finds a module; one that is loaded without a spec counts."""
    try:
        return find_spec(module) is not None
    except ValueError:
        return True
