"""The one protocol behind which every inference library stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol

from numpy.typing import NDArray

from emorec_rt.errors import EngineError, OutOfMemoryError
from emorec_rt.manifest import TensorSpec

Tensors = Mapping[str, NDArray[Any]]

CPU_LANES: Final = 2
"""Lanes of an engine on the CPU. Measured with two cores alone."""

CPU_BATCH: Final = 16
"""Frames in a batch on the CPU: measured, larger ones leave its caches and take longer a frame."""

_OUT_OF_MEMORY: Final = (
    "out of memory",
    "outofmemory",
    "memoryallocation",
    "insufficient memory",
    "failed to allocate memory",
    "alloc_failed",
    "std::bad_alloc",
)
"""Signs of a full memory in what CUDA, TensorRT, cuBLAS, ONNX Runtime, OpenVINO and PyTorch say."""


class Engine(Protocol):
    """A loaded graph that maps named arrays to named arrays; the batch is the first dimension of each."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """Run one batch.

        Args:
            feeds: One array for each input, with the input's dtype and shape.

        Returns:
            One array for each output; the caller owns them.

        Raises:
            EngineError: A wrong tensor, or the library failed.
        """
        ...


def lanes_of(engine: Engine) -> int:
    """How many batches it runs at once, from threads of the caller: its ``lanes``, one without.

    On a CPU, two batches on half of the cores each are done sooner than one after the other on all of them:
    no thread waits for the slowest one of a layer, nor for one whose core is decoding.
    """
    lanes: int = getattr(engine, "lanes", 1)
    return lanes


def ahead_of(engine: Engine) -> int:
    """How many batches more it takes in than it runs: its ``ahead``, none without.

    A library with a queue of its own then goes from one batch to the next without waiting for Python.
    """
    ahead: int = getattr(engine, "ahead", 0)
    return ahead


def best_batch_of(engine: Engine) -> int:
    """How many frames to give it at once where nobody asks for a number: its ``best_batch``."""
    batch: int = getattr(engine, "best_batch", CPU_BATCH)
    return batch


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


def common_batch(feeds: Tensors) -> int:
    """The batch that all inputs share.

    Raises:
        EngineError: They don't.
    """
    sizes = {name: len(array) for name, array in feeds.items()}
    if len(set(sizes.values())) != 1:
        raise EngineError(f"the inputs' batches differ: {sizes}")
    return next(iter(sizes.values()))


def engine_error(what: str, detail: str, advice: str) -> EngineError:
    """The error for a library's complaint; a full memory gets its own class.

    Args:
        what: What was being done, to what.
        detail: What the library said; may be empty.
        advice: What to do about it; empty when there is nothing to say.
    """
    if any(sign in detail.lower() for sign in _OUT_OF_MEMORY):
        return OutOfMemoryError(f"{what}: the memory is full ({detail}); take a smaller batch")
    text = f"{what}: {detail or 'the library gave no reason'}"
    return EngineError(f"{text}; {advice}" if advice else text)
