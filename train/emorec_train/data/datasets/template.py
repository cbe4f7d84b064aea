"""Reference of a submission: the challenge's template, or a list of videos and frame counts.

A template is a submission whose labels are empty (5th edition) or 0 (6th). A list has ``<video> <frames>`` on
each line.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import EmorecError

HEADER: Final = ",".join(("image_location", *EXPRESSIONS))
"""First line of a submission and of a template."""

ROW: Final = re.compile(rb"([^/,\r\n]+)/(\d{5}|[1-9]\d{5,6})\.jpg,(-?\d{1,9}|)\r?\n?")
"""A row: video, frame as ``%05d``, label or nothing."""

MAX_FRAMES: Final = 9_999_999
"""Frames of one video; a hundred hours at 25 a second."""

ABSENT, WANTED, SEEN, DOUBLED = range(4)
"""State of a frame: not listed, listed, seen in the submission, seen more than once."""

_LINE_BYTES: Final = 4096


class SubmissionError(EmorecError, ValueError):
    """Predictions that can't stand in a submission, or a file to compare with that can't be read."""

    def __init__(self, source: str | Path, reason: str) -> None:
        self.source = str(source)
        super().__init__(f"{source}: {reason}")


@dataclass(frozen=True, slots=True)
class Reference:
    """Frames that a submission must have.

    Attributes:
        path: Where it was read.
        ordered: The order of the videos counts: true for a template.
        frames: For each video, in the order of the file, a byte a frame from frame 0: ``WANTED`` or
            ``ABSENT``.
    """

    path: Path
    ordered: bool
    frames: dict[bytes, bytearray]


def read_reference(path: Path) -> Reference:
    """Read a template or a list, a line at a time.

    Raises:
        SubmissionError: It can't be read, is neither, or lists something twice.
    """
    frames: dict[bytes, bytearray] = {}
    with open_lines(path) as file:
        lines = numbered_lines(file)
        number, first = next(lines, (0, b""))
        ordered = is_header(first)
        if not ordered:
            _add_count(frames, path, number, first)
        for number, line in lines:
            if ordered:
                _add_row(frames, path, number, line)
            elif line.strip():
                _add_count(frames, path, number, line)
    if not frames:
        raise SubmissionError(path, "lists no video")
    return Reference(path, ordered, frames)


def frame_counts(reference: Reference) -> dict[str, int]:
    """Rows of each video."""
    return {show(name): states.count(WANTED) for name, states in reference.frames.items()}


def whole_counts(reference: Reference) -> dict[str, int]:
    """Rows of each video.

    Raises:
        SubmissionError: A frame before a video's last isn't listed.
    """
    counts = frame_counts(reference)
    for (video, count), states in zip(counts.items(), reference.frames.values(), strict=True):
        if count != len(states) - 1:
            raise SubmissionError(reference.path, f"doesn't list every frame of {video} up to its last")
    return counts


def is_header(line: bytes) -> bool:
    """True for the first line of a submission or a template."""
    return line.rstrip(b"\r\n") == HEADER.encode()


def show(data: bytes) -> str:
    """Bytes for a person."""
    return data.decode("utf-8", "replace")


def open_lines(path: Path) -> BinaryIO:
    """Open a file for ``numbered_lines``."""
    try:
        return path.open("rb")
    except OSError as error:
        raise SubmissionError(path, f"can't be read ({error.strerror})") from error


def numbered_lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Lines with their ends, counted from 1; what a line has past 4 KiB is skipped, so memory stays flat."""
    number = 0
    while line := file.readline(_LINE_BYTES):
        number += 1
        too_long = len(line) == _LINE_BYTES and not line.endswith(b"\n")
        yield number, line + b"\n" if too_long else line
        while len(line) == _LINE_BYTES and not line.endswith(b"\n"):
            line = file.readline(_LINE_BYTES)


def _add_row(frames: dict[bytes, bytearray], path: Path, number: int, line: bytes) -> None:
    match = ROW.fullmatch(line)
    if match is None:
        raise SubmissionError(path, f"line {number} is not a row of a template: {show(line[:80])!r}")
    states = frames.setdefault(match[1], bytearray())
    frame = int(match[2])
    if frame >= len(states):
        states.extend(bytes(frame + 1 - len(states)))
    if states[frame] == WANTED:
        raise SubmissionError(path, f"line {number} lists {show(match[1])} frame {frame} once more")
    states[frame] = WANTED


def _add_count(frames: dict[bytes, bytearray], path: Path, number: int, line: bytes) -> None:
    name, _, count = line.strip().rpartition(b" ")
    if not name or not count.isdigit() or not 0 < int(count[:9]) <= MAX_FRAMES:
        raise SubmissionError(
            path,
            f"line {number} is neither the header of a template nor '<video> <frames>': {show(line[:80])!r}",
        )
    if name.strip() in frames:
        raise SubmissionError(path, f"line {number} lists {show(name)} once more")
    frames[name.strip()] = bytearray([ABSENT]) + bytearray([WANTED]) * int(count)
