"""What a writer is, what it is made from, and the file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol

from emorec_rt.errors import OutputError
from emorec_rt.media import MediaLimits
from emorec_rt.prediction import Prediction
from emorec_rt.sources import is_address, output_stem

STDOUT: Final = Path("-")
"""The target that stands for standard output."""

MIN_SEGMENT_SECONDS: Final = 0.5
"""Shortest subtitle unless asked otherwise: about what a viewer can take in."""


class Writer(Protocol):
    """The result of one input: rows in order, then ``commit`` or ``discard``, exactly one of them.

    Each method may raise ``OutputError``; after that, ``discard`` is called.
    """

    def go_live(self) -> None:
        """The source has no end of its own: let rows be seen as they come, where the format can."""
        ...

    def write(self, prediction: Prediction) -> None:
        """Take the next row."""
        ...

    def commit(self) -> None:
        """All rows have come: make the result appear."""
        ...

    def discard(self) -> None:
        """Leave nothing behind."""
        ...


class Format(Protocol):
    """A text format: a header, a piece of text for each prediction, and an end."""

    def header(self) -> str:
        """Text before the first row; may be empty."""
        ...

    def row(self, prediction: Prediction) -> str:
        """Text that this prediction completes, line ends included; may be empty."""
        ...

    def end(self) -> str:
        """Text after the last row; may be empty."""
        ...


def _no_progress(_: float) -> None: ...


@dataclass(frozen=True, slots=True)
class Target:
    """One result to write.

    Attributes:
        source: The media file that the rows are about.
        path: Where the result shall appear; ``-`` is standard output.
        labels: Class names in the order of the probabilities.
        min_segment_seconds: Shortest subtitle; shorter ones are merged into their neighbours.
        limits: What is refused of the input, where a writer reads it again.
        progress: Called with how much of the work after the last row is done, in [0, 1].
    """

    source: Path
    path: Path
    labels: tuple[str, ...]
    min_segment_seconds: float = MIN_SEGMENT_SECONDS
    limits: MediaLimits = field(default_factory=MediaLimits)
    progress: Callable[[float], None] = _no_progress

    @property
    def video(self) -> str:
        """The input's name without folder and suffix; bytes that are no UTF-8 are replaced."""
        name = output_stem(self.source)
        whole = is_address(self.source) or self.source.is_dir()
        return os.fsencode(name if whole else Path(name).stem).decode("utf-8", "replace")


class WholeFile:
    """A file written beside its place and renamed on success; on any error nothing is left.

    Only a process that is killed outright leaves something: the hidden ``.NAME.PID.part``. The place itself
    holds what it held before, or the whole result.

    Args:
        path: Where the file shall appear; missing folders are made.

    Raises:
        OutputError: The folder is not writable, the disk is full, the path is taken by something that is no
            file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = path.with_name(f".{path.name}.{os.getpid()}.part")
        self._shown = False
        with _explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            _refuse_non_files(path)
            self._file: BinaryIO = self.part.open("wb")
            # It says to those who tidy up, on whatever machine, that someone is still writing.
            with contextlib.suppress(OSError):
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def write(self, data: str | bytes) -> None:
        """Append text (as UTF-8) or bytes."""
        with _explained(self.path):
            self._file.write(data.encode("utf-8", "replace") if isinstance(data, str) else data)
            if self._shown:
                self._file.flush()

    def show(self) -> None:
        """Make the file appear now, and whatever is written from now on at once; ``discard`` leaves it."""
        with _explained(self.path):
            self._file.flush()
            self.part.replace(self.path)
        self._shown = True

    def commit(self) -> None:
        """Make the file appear."""
        try:
            with _explained(self.path):
                self._file.close()
                if not self._shown:
                    self.part.replace(self.path)
        except OutputError:
            self.discard()
            raise

    def discard(self) -> None:
        """Leave nothing, but what was shown."""
        with contextlib.suppress(OSError):  # the disk is full, and what was buffered is unwanted
            self._file.close()
        with contextlib.suppress(OSError):
            self.part.unlink()

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()


@contextlib.contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(path, f"can't be written ({error.strerror or error})") from error


def _refuse_non_files(path: Path) -> None:
    if path.is_dir():
        raise OutputError(path, "is a folder; give a file, or use --out-dir")
    if path.exists() and not path.is_file():
        # Renaming over it would replace the device itself.
        raise OutputError(path, "is a device or a pipe; write to - (standard output) instead")
