"""Comparison of a submission with a template or a frame list, before it is sent.

The file is read a row at a time; what is kept is a byte for each frame of the reference.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.template import (
    DOUBLED,
    HEADER,
    ROW,
    SEEN,
    WANTED,
    Reference,
    is_header,
    numbered_lines,
    open_lines,
    show,
)

MAX_RANGES: Final = 4
"""Runs of frames that a line names before it only counts."""

MAX_UNKNOWN: Final = 1_000
"""Videos that the reference lacks and that are told apart."""

_LABELS: Final = frozenset(str(label).encode() for label in range(len(EXPRESSIONS)))


@dataclass(frozen=True, slots=True)
class SubmissionReport:
    """Result of a comparison.

    Attributes:
        rows: Rows that could be read.
        videos: Videos of the reference that occur.
        findings: What is wrong with the file as a whole, one line each.
        by_video: What is wrong with each video, one line each, in the reference's order.
    """

    rows: int
    videos: int
    findings: tuple[str, ...]
    by_video: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """The submission has what the reference has, in its order, and a valid label for each frame."""
        return not self.findings and not self.by_video


@dataclass(slots=True)
class _Count:
    """Count of something, with the first few places."""

    total: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, what: str) -> None:
        self.total += 1
        if len(self.first) < MAX_RANGES:
            self.first.append(what)

    def __str__(self) -> str:
        return ", ".join(self.first) + (", ..." if self.total > len(self.first) else "")


@dataclass(slots=True)
class _Video:
    """The rows of one video so far."""

    frames: bytearray
    highest: int = 0
    runs: int = 0
    unordered: _Count = field(default_factory=_Count)
    unlisted: _Count = field(default_factory=_Count)
    unlabelled: _Count = field(default_factory=_Count)
    out_of_range: _Count = field(default_factory=_Count)

    def add(self, digits: bytes, label: bytes) -> None:
        frame = int(digits)
        state = self.frames[frame] if frame < len(self.frames) else 0
        if state == WANTED:
            self.frames[frame] = SEEN
            if frame < self.highest:
                self.unordered.add(str(frame))
            else:
                self.highest = frame
        elif state == 0:
            self.unlisted.add(str(frame))
        else:
            self.frames[frame] = DOUBLED
        if label not in _LABELS:
            self._bad_label(frame, label)

    def _bad_label(self, frame: int, label: bytes) -> None:
        if label:
            self.out_of_range.add(f"{show(label)} at {frame}")
        else:
            self.unlabelled.add(str(frame))

    def describe(self) -> str:
        """All that is wrong, in one line; empty if nothing is."""
        states = np.frombuffer(self.frames, np.uint8)
        if not self.runs:
            return f"all {int((states == WANTED).sum())} frames are missing"
        missing, doubled = np.flatnonzero(states == WANTED), np.flatnonzero(states == DOUBLED)
        parts = (
            (len(missing), f"missing {_frames(len(missing))} ({_ranges(missing)})"),
            (len(doubled), f"{_frames(len(doubled))} doubled ({_ranges(doubled)})"),
            (self.runs > 1, f"rows stand in {self.runs} places"),
            (self.unordered.total, f"{_frames(self.unordered.total)} out of order ({self.unordered})"),
            (self.unlisted.total, f"{_frames(self.unlisted.total)} that nobody asked for ({self.unlisted})"),
            (self.unlabelled.total, f"{_frames(self.unlabelled.total)} without a label ({self.unlabelled})"),
            (
                self.out_of_range.total,
                f"{self.out_of_range.total} labels out of 0 to {len(EXPRESSIONS) - 1} ({self.out_of_range})",
            ),
        )
        return "; ".join(text for wrong, text in parts if wrong)


def check_submission(submission: Path, reference: Reference) -> SubmissionReport:
    """Compare a submission with what it must have.

    Args:
        submission: The file.
        reference: From ``read_reference``; left as it is.

    Raises:
        SubmissionError: The file can't be read at all.
    """
    checker = _Checker(reference)
    with open_lines(submission) as file:
        for number, line in numbered_lines(file):
            checker.add(number, line)
    return checker.report()


class _Checker:
    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        self._videos = {name: _Video(bytearray(frames)) for name, frames in reference.frames.items()}
        self._entered: dict[bytes, None] = {}
        self._current: bytes | None = None
        self._video: _Video | None = None
        self._unknown: dict[bytes, int] = {}
        self._unreadable = _Count()
        self._crlf = 0
        self._header: str | None = f"line 1: there is no header; expected {HEADER}"
        self._cut_off: str | None = None
        self._rows = 0

    def add(self, number: int, line: bytes) -> None:
        """Take the next line."""
        if line.endswith(b"\r\n"):
            self._crlf += 1
        match = ROW.fullmatch(line)
        if match is None:
            self._other(number, line)
            return
        self._rows += 1
        name, frame, label = match.groups()
        if name != self._current:
            self._enter(name)
        if self._video is None:
            self._count_unknown(name)
            return
        if not label and not line.endswith(b"\n"):
            self._cut_off = f"the last line, {number}, is cut off: {show(line)!r}"
        self._video.add(frame, label)

    def _other(self, number: int, line: bytes) -> None:
        """Take a line that is not a row."""
        if number == 1:
            text = show(line[:120].rstrip(b"\r\n"))
            self._header = None if is_header(line) else f"line 1: the header is {text!r}, expected {HEADER}"
        elif line.endswith(b"\n"):
            self._unreadable.add(f"{number}: {show(line[:60].strip())!r}")
        else:
            self._cut_off = f"the last line, {number}, is cut off: {show(line[:60])!r}"

    def _enter(self, name: bytes) -> None:
        self._current = name
        self._video = self._videos.get(name)
        if self._video is not None:
            self._video.runs += 1
            self._entered[name] = None

    def _count_unknown(self, name: bytes) -> None:
        if name in self._unknown or len(self._unknown) < MAX_UNKNOWN:
            self._unknown[name] = self._unknown.get(name, 0) + 1

    def report(self) -> SubmissionReport:
        """After the last line."""
        described = ((show(name), video.describe()) for name, video in self._videos.items())
        return SubmissionReport(
            rows=self._rows,
            videos=len(self._entered),
            findings=tuple(finding for finding in self._findings() if finding),
            by_video=tuple(f"{name}: {text}" for name, text in described if text),
        )

    def _findings(self) -> Iterable[str | None]:
        yield self._header
        if self._crlf:
            yield f"{self._crlf} lines end in CR LF; the template's end in LF"
        if self._unreadable.total:
            yield f"{self._unreadable.total} lines are not '<video>/00001.jpg,<label>': {self._unreadable}"
        yield self._cut_off
        yield self._unknown_videos()
        yield self._video_order() if self._reference.ordered else None

    def _unknown_videos(self) -> str | None:
        if not self._unknown:
            return None
        names = [f"{show(name)} ({_frames(rows)})" for name, rows in self._unknown.items()]
        more = ", ..." if len(names) > MAX_RANGES else ""
        at_least = "at least " if len(names) == MAX_UNKNOWN else ""
        shown = ", ".join(names[:MAX_RANGES])
        return f"{at_least}{len(names)} videos that {self._reference.path.name} lacks: {shown}{more}"

    def _video_order(self) -> str | None:
        expected = (name for name in self._videos if name in self._entered)
        for came, should in zip(self._entered, expected, strict=True):
            if came != should:
                return f"videos are out of order: {show(came)} comes where {show(should)} is expected"
        return None


def _frames(count: int) -> str:
    return f"{count} frame" + ("" if count == 1 else "s")


def _ranges(frames: NDArray[np.intp]) -> str:
    """``5, 17-18``: runs of consecutive frames, the first few."""
    if not len(frames):
        return ""
    runs = np.split(frames, np.flatnonzero(np.diff(frames) > 1) + 1)
    shown = [str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:MAX_RANGES]]
    return ", ".join(shown) + (", ..." if len(runs) > MAX_RANGES else "")
