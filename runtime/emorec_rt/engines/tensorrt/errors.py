"""What can go wrong on a GPU, beyond what every engine shares."""

from __future__ import annotations

from emorec_rt.errors import BackendUnavailableError, EngineError


class OutOfMemoryError(EngineError):
    """The GPU has no memory left for this; a smaller batch may fit."""


class BuildCancelledError(EngineError):
    """The progress callback asked the build to stop; nothing was written."""


class PlanMismatchError(EngineError):
    """A freshly built plan doesn't compute what its ONNX graph computes; it was thrown away."""


class NoGpuError(BackendUnavailableError):
    """The libraries are there, the GPU or its driver is not."""

    def __init__(self, reason: str) -> None:
        self.backend = "tensorrt"
        advice = "nvidia-smi (on a Jetson tegrastats) tells more; --backend onnxruntime needs no GPU"
        ImportError.__init__(self, f"backend tensorrt can't reach an NVIDIA GPU: {reason}; {advice}")


_OUT_OF_MEMORY = ("out of memory", "outofmemory", "memoryallocation", "insufficient memory", "std::bad_alloc")


def engine_error(what: str, detail: str, advice: str) -> EngineError:
    """The error for a library's complaint; memory shortage gets its own class.

    Args:
        what: What was being done, to what.
        detail: What the library said; may be empty.
        advice: What to do about it.
    """
    text = f"{what}: {detail or 'the library gave no reason'}; {advice}"
    if any(sign in detail.lower() for sign in _OUT_OF_MEMORY):
        return OutOfMemoryError(f"{what}: the GPU's memory is full ({detail}); take a smaller batch")
    return EngineError(text)
