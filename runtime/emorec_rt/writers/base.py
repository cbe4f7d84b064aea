"""What a writer is, and the file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from types import TracebackType
from typing import Protocol, TextIO

from emorec_rt.errors import OutputError
from emorec_rt.prediction import Prediction


class Format(Protocol):
    """A text format: a header, then one piece of text for each prediction."""

    def header(self) -> str:
        """Text before the first row; may be empty."""
        ...

    def row(self, prediction: Prediction) -> str:
        """Text of one prediction, line end included."""
        ...


class WholeFile:
    """A text file written beside its place and renamed on success; on any error nothing is left.

    Args:
        path: Where the file shall appear. What is there already is replaced on success only.

    Raises:
        OutputError: The folder is missing, not writable, or the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{os.getpid()}.part")
        if not path.parent.is_dir():
            raise OutputError(path, "its folder does not exist; make it first")
        if path.is_dir():
            raise OutputError(path, "is a folder; give a file, or use --out-dir")
        try:
            self._file: TextIO = self._part.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise OutputError(path, f"can't be written ({error.strerror})") from error

    def write(self, text: str) -> None:
        """Append text."""
        try:
            self._file.write(text)
        except OSError as error:
            raise OutputError(self._path, f"can't be written ({error.strerror})") from error

    def commit(self) -> None:
        """Make the file appear."""
        try:
            self._file.close()
            self._part.replace(self._path)
        except OSError as error:
            self.discard()
            raise OutputError(self._path, f"can't be written ({error.strerror})") from error

    def discard(self) -> None:
        """Leave nothing."""
        with contextlib.suppress(OSError):  # the disk is full, and what was buffered is unwanted
            self._file.close()
        self._part.unlink(missing_ok=True)

    def __enter__(self) -> WholeFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.discard()
