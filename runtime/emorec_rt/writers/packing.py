"""Rows of a page as bytes: quantised, differences along time, compressed.

A page can't load anything, so that an hour of rows must fit into the page itself. Scores are quantised and
coded as the difference to the row before, class by class, which DEFLATE packs well. Where that takes more
than the budget, lines within a tolerance stand for them, and steps get coarser. Times, labels and flags are
exact.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.writers.row_buffer import RowBuffer
from emorec_rt.writers.segments import Segment

BUDGET_BYTES: Final = 350_000
"""Of the encoded rows of up to an hour; a longer input may take as much for each hour."""

UNKNOWN: Final = 255
"""Label of a row that asserts none."""

_HOUR_SECONDS: Final = 3600.0
_LONGEST_GAP: Final = 255
_REGULAR_SECONDS: Final = 5e-4
_TICK_SECONDS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Level:
    """Coarseness of packed rows.

    Attributes:
        score_step: Scores are whole multiples of this.
        score_tolerance: Scores between the corners of a line may differ from it by so much; 0 keeps each.
        box_step: Box sides are whole multiples of so many pixels, and may differ from their line by as much.
        row_stride: A row is kept for each so many rows.
    """

    score_step: float
    score_tolerance: float
    box_step: float
    row_stride: int = 1

    @property
    def score_error(self) -> float:
        """Largest difference from the score that was given."""
        return self.score_tolerance + self.score_step / 2


LEVELS: Final = (
    Level(1e-4, 0.0, 0.1),
    Level(1 / 250, 0.0, 0.5),
    Level(1 / 250, 1 / 250, 1.0),
    Level(1 / 100, 1 / 100, 1.0),
    Level(1 / 100, 1 / 50, 2.0),
    Level(1 / 50, 1 / 25, 3.0),
    Level(1 / 50, 1 / 25, 4.0, 2),
    Level(1 / 25, 1 / 25, 4.0, 4),
    Level(1 / 25, 1 / 25, 4.0, 16),
)


@dataclass(frozen=True, slots=True)
class Lane:
    """All rows of one person.

    Attributes:
        person: Its number; ``None`` where persons are not told apart.
        rows: At least one.
        segments: Its segments.
    """

    person: int | None
    rows: RowBuffer
    segments: Sequence[Segment]


@dataclass(frozen=True, slots=True)
class Packed:
    """Content of a page, as its script unpacks it.

    Attributes:
        lanes: For each lane what is not an array.
        arrays: Name, coding and length of each array, in their order in the bytes.
        text: The bytes, in Base64.
        level: How coarse the rows are.
    """

    lanes: list[dict[str, Any]]
    arrays: list[tuple[str, str, int]]
    text: str
    level: Level


def pack(lanes: Sequence[Lane], labels: tuple[str, ...], seconds: float) -> Packed:
    """Pack lanes as finely as the budget allows.

    Args:
        lanes: At least one.
        labels: Class names in the order of the probabilities.
        seconds: Length of the input, which the budget grows with past an hour.
    """
    budget = BUDGET_BYTES * max(seconds / _HOUR_SECONDS, 1.0)
    columns = [_columns(lane.rows) for lane in lanes]
    for level in LEVELS:
        packed = _packed(lanes, columns, labels, level)
        if len(packed.text) <= budget:
            break
    return packed


def _packed(
    lanes: Sequence[Lane], columns: Sequence[_Columns], labels: tuple[str, ...], level: Level
) -> Packed:
    out = _Arrays()
    heads = [_lane(out, number, lane, columns[number], labels, level) for number, lane in enumerate(lanes)]
    return Packed(heads, out.arrays, base64.b64encode(zlib.compress(out.joined(), 9)).decode(), level)


_Columns = Mapping[str, NDArray[Any]]


def _columns(rows: RowBuffer) -> _Columns:
    chunks = list(rows.chunks())
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0].dtype.names or ()}


def _lane(
    out: _Arrays, number: int, lane: Lane, columns: _Columns, labels: tuple[str, ...], level: Level
) -> dict[str, Any]:
    kept = {name: column[:: level.row_stride] for name, column in columns.items()}
    names = f"{number}.{{}}".format
    known = kept["face"] | kept["sound"]
    out.whole(names("label"), np.where(known, kept["label"], UNKNOWN))
    out.whole(names("flags"), kept["face"] + 2 * kept["sound"])
    for index in range(len(labels)):
        scores = kept["probabilities"][:, index]
        _curve(out, names(f"score{index}"), scores, level.score_step, level.score_tolerance)
    for side in range(4):
        _curve(out, names(f"box{side}"), _held(kept["box"][:, side]), level.box_step, level.box_step)
    _segments(out, names, lane.segments, labels)
    head = {"person": lane.person, "rows": len(kept["time"])}
    return {
        **head,
        **_times(out, names("time"), kept["time"]),
        **_numbers(out, names("frame"), kept["index"]),
    }


def _held(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The values, each gap filled with what was before it: a constant costs nothing."""
    last = np.maximum.accumulate(np.where(np.isnan(values), 0, np.arange(len(values))))
    return np.asarray(np.nan_to_num(values[last]), np.float32)


def _curve(out: _Arrays, name: str, values: NDArray[np.float32], step: float, tolerance: float) -> None:
    if tolerance == 0.0:
        out.differences(name, np.rint(values / step), wide=step < 1 / 255)
        return
    gaps, heights = corners(values.tolist(), tolerance)
    out.whole(f"{name}.gap", np.array(gaps))
    out.differences(name, np.clip(np.rint(np.array(heights) / step), -32768, 32767), wide=True)


def corners(values: Sequence[float], tolerance: float) -> tuple[list[int], list[float]]:
    """Corners of a line that differs from no value by more than the tolerance ("swinging door").

    Returns:
        Rows from corner to corner, at most 255, the first 0; and the height of each corner.
    """
    gaps, heights = [0], [values[0]]
    start, height, low, high = 0, values[0], -math.inf, math.inf
    for row in range(1, len(values)):
        value, reach = values[row], row - start
        lower = max(low, (value - tolerance - height) / reach)
        upper = min(high, (value + tolerance - height) / reach)
        if lower > upper or reach > _LONGEST_GAP:
            height += (low + high) / 2 * (reach - 1)
            gaps.append(reach - 1)
            heights.append(height)
            start, lower, upper = row - 1, value - tolerance - height, value + tolerance - height
        low, high = lower, upper
    if (reach := len(values) - 1 - start) > 0:
        gaps.append(reach)
        heights.append(height + (low + high) / 2 * reach)
    return gaps, heights


def _times(out: _Arrays, name: str, times: NDArray[np.float64]) -> dict[str, Any]:
    """A start and a step where frames come evenly, else microseconds from row to row."""
    count = max(len(times) - 1, 1)
    start, step = float(times[0]), float(times[-1] - times[0]) / count
    regular = np.abs(times - (start + step * np.arange(len(times)))).max() < _REGULAR_SECONDS
    if not regular:
        out.integers(name, np.diff(np.rint((times - start) / _TICK_SECONDS), prepend=0))
    return {"start": start, "step": step if regular else None}


def _numbers(out: _Arrays, name: str, numbers: NDArray[np.int64]) -> dict[str, Any]:
    steps = np.diff(numbers)
    regular = len(steps) == 0 or bool((steps == steps[0]).all())
    if not regular:
        out.integers(name, numbers)
    return {"frame": int(numbers[0]), "frameStep": (int(steps[0]) if len(steps) else 1) if regular else None}


def _segments(out: _Arrays, names: Any, segments: Sequence[Segment], labels: tuple[str, ...]) -> None:
    position = {label: index for index, label in enumerate(labels)}
    milliseconds = [[round(1000 * t) for t in (item.start_seconds, item.end_seconds)] for item in segments]
    edges = np.array(milliseconds, np.int64).reshape(len(segments), 2)
    out.integers(names("from"), edges[:, 0])
    out.integers(names("to"), edges[:, 1])
    out.whole(names("name"), np.array([position[item.label] for item in segments]))
    out.whole(names("mean"), np.rint(np.array([item.probability for item in segments]) * 250))


class _Arrays:
    """Arrays one after the other.

    Codings: ``u8`` bytes; ``d8`` bytes, each the difference to the one before, modulo 256; ``d16`` the same
    modulo 65536, all low bytes, then all high bytes; ``i32`` whole numbers, little-endian.
    """

    def __init__(self) -> None:
        self.arrays: list[tuple[str, str, int]] = []
        self._parts: list[bytes] = []

    def whole(self, name: str, values: NDArray[Any]) -> None:
        self._add(name, "u8", len(values), values.astype(np.uint8).tobytes())

    def differences(self, name: str, values: NDArray[Any], *, wide: bool) -> None:
        steps: NDArray[np.int64] = np.asarray(np.diff(values.astype(np.int64), prepend=0), np.int64)
        if not wide:
            self._add(name, "d8", len(values), (steps % 256).astype(np.uint8).tobytes())
            return
        words = (steps % 65536).astype(np.int64)
        planes = (words % 256).astype(np.uint8).tobytes() + (words // 256).astype(np.uint8).tobytes()
        self._add(name, "d16", len(values), planes)

    def integers(self, name: str, values: NDArray[Any]) -> None:
        self._add(name, "i32", len(values), values.astype("<i4").tobytes())

    def joined(self) -> bytes:
        return b"".join(self._parts)

    def _add(self, name: str, coding: str, length: int, data: bytes) -> None:
        self.arrays.append((name, coding, length))
        self._parts.append(data)
