"""Protocols of writers and formats, and what they are made from."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from emorec_rt.errors import UsageError
from emorec_rt.media import MediaLimits
from emorec_rt.media.sources import is_address, output_stem
from emorec_rt.media.tracks import BEST, Tracks
from emorec_rt.windows.prediction import Prediction

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


@runtime_checkable
class RereadingWriter(Writer, Protocol):
    """A writer that goes over the whole input again: after the last row ``render``, then ``commit``."""

    def render(self) -> Iterator[float]:
        """Do the work; give the share of it that is done, in [0, 1], as it goes on."""
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


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """Options of all results of a call.

    Attributes:
        min_segment_seconds: Shortest segment; shorter ones are merged into their neighbours.
        every_seconds: Length of the interval that each row of a table stands for; ``None`` keeps a row for
            each frame.
        embed: Whether a page carries its video inside.
        people: Whether everyone is followed, so that a frame may have several rows.
    """

    min_segment_seconds: float = MIN_SEGMENT_SECONDS
    every_seconds: float | None = None
    embed: bool = False
    people: bool = False

    def __post_init__(self) -> None:
        every = self.every_seconds
        if every is not None and not (math.isfinite(every) and every > 0):
            raise UsageError(f"every_seconds is {every}; it must be above 0")


@dataclass(frozen=True, slots=True)
class Target:
    """One result to write.

    Attributes:
        source: The media file that the rows are about.
        path: Where the result shall appear; ``-`` is standard output.
        labels: Class names in the order of the probabilities.
        options: How it is written.
        notice: What the model's maker wants every reader to know; may be empty.
        limits: What is refused of the input, where a writer reads it again.
        tracks: Tracks of the input that the rows are about, likewise.
        part_seconds: Presentation times between which the rows lie; ``None`` for an open end.
        measures: Names of what rows tell beside the classes.
    """

    source: Path
    path: Path
    labels: tuple[str, ...]
    options: OutputOptions = OutputOptions()
    notice: str = ""
    limits: MediaLimits = field(default_factory=MediaLimits)
    tracks: Tracks = BEST
    part_seconds: tuple[float | None, float | None] = (None, None)
    measures: tuple[str, ...] = ()

    @property
    def video(self) -> str:
        """The input's name without folder and suffix; bytes that are no UTF-8 are replaced."""
        name = output_stem(self.source)
        whole = is_address(self.source) or self.source.is_dir()
        return os.fsencode(name if whole else Path(name).stem).decode("utf-8", "replace")
