"""Text formats into a file that appears whole, or onto standard output a line at a time."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable
from typing import Protocol

from emorec_rt.errors import OutputError
from emorec_rt.files import WholeFile
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import STDOUT, Format, Target


class ReaderGoneError(OutputError):
    """Whoever read our standard output has closed it: ``emorec-rt talk.mp4 | head``."""


class _Sink(Protocol):
    def write(self, data: str) -> None: ...
    def show(self) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...


class Stdout:
    """Standard output, flushed with each write, so that whoever reads it is never behind.

    Text is UTF-8, as in files; a terminal of another encoding gets escapes for what it can't show.

    Raises:
        OutputError: It is closed.
    """

    def __init__(self) -> None:
        if sys.stdout is None:
            raise OutputError("standard output", "is closed; give --out FILE")
        if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.encoding.lower() not in ("utf-8", "utf8"):
            terminal = sys.stdout.isatty()
            encoding, errors = (None, "backslashreplace") if terminal else ("utf-8", "strict")
            sys.stdout.reconfigure(encoding=encoding, errors=errors)

    def write(self, data: str) -> None:
        """Write and flush.

        Raises:
            ReaderGoneError: Nobody reads any more.
            OutputError: It can't be written.
        """
        if not data:
            return
        try:
            sys.stdout.write(data)
            sys.stdout.flush()
        except BrokenPipeError as error:
            _silence()
            raise ReaderGoneError("standard output", "closed by its reader") from error
        except OSError as error:
            _silence()
            raise OutputError("standard output", f"can't be written ({error.strerror})") from error

    def show(self) -> None:
        """Nothing to do: it is seen at once."""

    def commit(self) -> None:
        """Nothing to do: everything has been flushed."""

    def discard(self) -> None:
        """Nothing to do: what was written can't be taken back."""


class TextWriter:
    """A text format into a sink.

    Args:
        format_: Turns rows into text.
        sink: Takes the text.
    """

    def __init__(self, format_: Format, sink: _Sink) -> None:
        self._format = format_
        self._sink = sink
        self._begun = self._live = False

    def go_live(self) -> None:
        """Show the file from its first row on, each row as it comes."""
        self._live = True

    def write(self, prediction: Prediction) -> None:
        """Take the next row."""
        self._begin()
        self._sink.write(self._format.row(prediction))

    def commit(self) -> None:
        """Write the end, and make the file appear."""
        self._begin()
        self._sink.write(self._format.end())
        self._sink.commit()

    def discard(self) -> None:
        """Leave nothing, but the rows of a live source."""
        self._sink.discard()

    def _begin(self) -> None:
        # The header waits for the first row: an input that can't be read puts nothing on standard output.
        if not self._begun:
            self._begun = True
            self._sink.write(self._format.header())
            if self._live:
                self._sink.show()


def text_writer(make_format: Callable[[Target], Format]) -> Callable[[Target], TextWriter]:
    """A maker of writers for a text format."""

    def make(target: Target) -> TextWriter:
        sink: _Sink = Stdout() if target.path == STDOUT else WholeFile(target.path)
        return TextWriter(make_format(target), sink)

    return make


def _silence() -> None:
    # The interpreter flushes what is left in the buffer on exit, and would complain once more.
    with contextlib.suppress(OSError, io.UnsupportedOperation):
        sink = os.open(os.devnull, os.O_WRONLY)
        os.dup2(sink, sys.stdout.fileno())
        os.close(sink)
