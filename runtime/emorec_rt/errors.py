"""Everything that can go wrong on purpose: one class a cause, the message built in the class.

A message is one line: what happened, to which file, what to do. The command line prints it as it is.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

_OBEYED: Final = {
    code: "?"
    for codes in (
        range(0x20),  # escape sequences begin here
        range(0x7F, 0xA0),
        range(0x2028, 0x202F),  # separators of lines, and what turns the direction of text
        range(0x2066, 0x206A),
    )
    for code in codes
}


def printable(text: str) -> str:
    """Put a question mark for each character that a terminal would obey: names and servers may send any."""
    return text.translate(_OBEYED)


class EmorecError(Exception):
    """Base of every error that emorec raises on purpose. ``str(error)`` is one line for a person."""

    def __str__(self) -> str:
        return printable(" ".join(super().__str__().split()))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the message as it is: constructors take its parts, which pickle would not know."""
        return _restored, (type(self), self.args, self.__dict__)


def _restored(kind: type[EmorecError], arguments: tuple[Any, ...], state: dict[str, Any]) -> EmorecError:
    error = kind.__new__(kind, *arguments)
    error.args = arguments
    error.__dict__.update(state)
    return error


class UsageError(EmorecError, ValueError):
    """The call itself is wrong: an option's value, a combination, a name (exit code 2)."""


class MediaError(EmorecError, OSError):
    """A file or stream that can't be read: damaged, unknown format, no usable stream."""

    def __init__(self, source: str | Path, reason: str) -> None:
        self.source = str(source)
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class FaceNotFoundError(MediaError):
    """``--face require`` and no face in the whole input."""


class BundleError(EmorecError, ValueError):
    """A bundle that can't be used: missing or changed file, unknown version, wrong shapes."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        self.reason = reason
        super().__init__(f"{path}: {reason}")


class BackendUnavailableError(EmorecError, ImportError):
    """A library that a backend needs is missing; the message names the extra that installs it."""

    def __init__(self, backend: str, missing: str, install: str) -> None:
        self.backend = backend
        super().__init__(f"backend {backend} needs {missing}, which is not installed; run: {install}")


class DecoderUnavailableError(EmorecError, ImportError):
    """A library that a decoder needs is missing; the message says how to install it."""

    def __init__(self, decoder: str, missing: str, install: str) -> None:
        self.decoder = decoder
        super().__init__(f"decoder {decoder} needs {missing}, which is not installed; run: {install}")


class NoGpuError(BackendUnavailableError):
    """The libraries of a backend are there, the GPU or its driver is not."""

    def __init__(self, reason: str, backend: str = "tensorrt") -> None:
        self.backend = backend
        advice = "nvidia-smi (on a Jetson tegrastats) tells more; --backend onnxruntime needs no GPU"
        ImportError.__init__(self, f"backend {backend} can't reach an NVIDIA GPU: {reason}; {advice}")


class EngineError(EmorecError, RuntimeError):
    """An engine that was fed the wrong tensors or failed while it ran."""


class OutOfMemoryError(EngineError):
    """The device that an engine runs on has no memory left for this batch; a smaller one may fit."""


class MismatchError(EngineError):
    """An engine doesn't compute what its reference computes, or gives values that are not finite."""


class OutputError(EmorecError, OSError):
    """A result that can't be written: disk full, no permission, no such folder."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        super().__init__(f"{path}: {reason}")


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
