"""The timeline's layout: one description that both SVG and PNG are drawn from."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.writers.curve import Curve
from emorec_rt.writers.palette import Colour, colours
from emorec_rt.writers.shapes import Drawing, Line, Polygon, Rectangle, Shape, Text

WIDTH: Final = 960.0
LEFT, RIGHT = 62.0, 762.0
TOP, BOTTOM = 62.0, 302.0
PLOT_COLUMNS: Final = round(RIGHT - LEFT)
"""One column a point."""

_LABEL_STRIP: Final = (312.0, 18.0)  # top and height
_FACE_STRIP: Final = (338.0, 8.0)
_SOUND_STRIP: Final = (352.0, 8.0)
_AXIS: Final = 366.0
HEIGHT: Final = 414.0
_LEGEND: Final = 784.0

_INK: Final[Colour] = (38, 38, 38)
_SOFT: Final[Colour] = (110, 110, 110)
_PRESENT: Final[Colour] = (96, 106, 118)
_ABSENT: Final[Colour] = (228, 230, 233)
_WHITE: Final[Colour] = (255, 255, 255)
_VEIL: Final = 0.62
_TITLE_LETTERS: Final = 70
_NOTICE_LETTERS: Final = 140
_NOTICE_ROW: Final = 15.0

_TICK_STEPS_SECONDS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MAX_TICKS: Final = 10
_SECONDS_UP_TO: Final = 120.0
_HOUR: Final = 3600.0


def plot(
    curve: Curve, labels: tuple[str, ...], title: str, origin_seconds: float = 0.0, notice: str = ""
) -> Drawing:
    """Lay out a timeline.

    Args:
        curve: What to show.
        labels: Class names in the order of the probabilities.
        title: The video's name.
        origin_seconds: The presentation time that the axis calls zero.
        notice: What stands below the axis; may be empty.
    """
    axis = _Axis(float(curve.edges[0]), float(curve.edges[-1]), origin_seconds)
    lines = textwrap.wrap(notice, _NOTICE_LETTERS)
    height = HEIGHT + _NOTICE_ROW * len(lines)
    shapes = [
        *_heading(title, height),
        *_areas(curve, labels, axis),
        *_veils(curve, axis),
        *_probability_axis(),
        *_strips(curve, labels, axis),
        *axis.shapes(),
        *_legend(curve, labels),
        *_notice(lines),
    ]
    return Drawing(WIDTH, height, f"{title}: probabilities over time", shapes)


class _Axis:
    """Presentation time to x, and the ticks below."""

    def __init__(self, start: float, end: float, origin: float) -> None:
        self._start, self._end, self._origin = start, max(end, start + 1e-3), origin

    def x(self, seconds: float) -> float:
        return LEFT + (seconds - self._start) / (self._end - self._start) * (RIGHT - LEFT)

    def shapes(self) -> Iterator[Shape]:
        """Line, ticks, figures, unit."""
        yield Line((LEFT, _AXIS), (RIGHT, _AXIS), _SOFT, 0.8)
        for seconds in self._ticks():
            x = self.x(seconds + self._origin)
            yield Line((x, _AXIS), (x, _AXIS + 4), _SOFT, 0.8)
            yield Text(self._figure(seconds), x, _AXIS + 17, 11, _INK, "middle")
        yield Text(self._unit(), (LEFT + RIGHT) / 2, _AXIS + 35, 11, _SOFT, "middle")

    def _ticks(self) -> list[float]:
        length = self._end - self._start
        step = next((s for s in _TICK_STEPS_SECONDS if length / s <= _MAX_TICKS), None)
        step = step or math.ceil(length / _MAX_TICKS / _HOUR) * _HOUR
        first = math.ceil((self._start - self._origin) / step - 1e-6)
        last = math.floor((self._end - self._origin) / step + 1e-6)
        return [number * step for number in range(first, last + 1)]

    def _figure(self, seconds: float) -> str:
        if self._length < _SECONDS_UP_TO:
            return f"{seconds:.1f}".removesuffix(".0")
        minutes, rest = divmod(round(seconds), 60)
        if self._length < _HOUR:
            return f"{minutes}:{rest:02d}"
        return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"

    def _unit(self) -> str:
        if self._length < _SECONDS_UP_TO:
            return "time in seconds"
        return "time (min:s)" if self._length < _HOUR else "time (h:min:s)"

    @property
    def _length(self) -> float:
        return self._end - self._origin


def _heading(title: str, height: float) -> Iterator[Shape]:
    shown = title if len(title) <= _TITLE_LETTERS else title[: _TITLE_LETTERS - 3] + "..."
    yield Rectangle(0, 0, WIDTH, height, _WHITE)
    yield Text(shown, LEFT, 28, 16, _INK, bold=True)
    yield Text("Probability of each class, stacked", LEFT, 48, 11, _SOFT)


def _notice(lines: Sequence[str]) -> Iterator[Shape]:
    for row, line in enumerate(lines):
        yield Text(line, LEFT, HEIGHT + _NOTICE_ROW * row, 10, _SOFT)


def _areas(curve: Curve, labels: tuple[str, ...], axis: _Axis) -> Iterator[Shape]:
    """Each class from the bottom up to its cumulated probability, the highest first: no seams show."""
    times = [curve.edges[0], *curve.middles, curve.edges[-1]]
    x = np.array([axis.x(float(t)) for t in times])
    ends = np.pad(curve.probabilities, ((1, 1), (0, 0)), mode="edge")
    tops = np.cumsum(ends, axis=1) / ends.sum(axis=1, keepdims=True)
    for index in reversed(range(len(labels))):
        y = BOTTOM - tops[:, index] * (BOTTOM - TOP)
        outline = np.stack([np.concatenate([[x[0]], x, [x[-1]]]), np.concatenate([[BOTTOM], y, [BOTTOM]])], 1)
        yield Polygon(outline, colours(labels)[index])


def _veils(curve: Curve, axis: _Axis) -> Iterator[Shape]:
    for start, end, missing in _stretches(curve, _missing(curve)):
        if missing:
            yield Rectangle(axis.x(start), TOP, axis.x(end) - axis.x(start), BOTTOM - TOP, _WHITE, _VEIL)


def _missing(curve: Curve) -> NDArray[np.bool_]:
    return np.asarray((curve.face < 0.5) | (curve.sound < 0.5))


def _probability_axis() -> Iterator[Shape]:
    for share in (0.25, 0.5, 0.75):
        y = BOTTOM - share * (BOTTOM - TOP)
        yield Rectangle(LEFT, y - 0.25, RIGHT - LEFT, 0.5, _WHITE, 0.7)
    for share in (0.0, 0.5, 1.0):
        y = BOTTOM - share * (BOTTOM - TOP)
        yield Line((LEFT - 4, y), (LEFT, y), _SOFT, 0.8)
        yield Text(f"{share:g}", LEFT - 8, y + 4, 11, _INK, "end")


def _strips(curve: Curve, labels: tuple[str, ...], axis: _Axis) -> Iterator[Shape]:
    palette = (*colours(labels), _ABSENT)  # the last one is for -1, where no label is asserted
    yield from _strip(curve, axis, "class", _LABEL_STRIP, curve.labels, palette)
    on_off = (_ABSENT, _PRESENT)
    yield from _strip(curve, axis, "face", _FACE_STRIP, curve.face >= 0.5, on_off)
    yield from _strip(curve, axis, "sound", _SOUND_STRIP, curve.sound >= 0.5, on_off)


def _strip(
    curve: Curve,
    axis: _Axis,
    name: str,
    place: tuple[float, float],
    values: NDArray[Any],
    palette: Sequence[Colour],
) -> Iterator[Shape]:
    top, height = place
    yield Text(name, LEFT - 8, top + height / 2 + 3.8, 11, _INK, "end")
    for start, end, value in _stretches(curve, values):
        yield Rectangle(axis.x(start), top, axis.x(end) - axis.x(start), height, palette[value])


def _stretches(curve: Curve, values: NDArray[Any]) -> Iterator[tuple[float, float, int]]:
    """Start, end and value of each run of one value."""
    cuts = [0, *(np.flatnonzero(np.diff(values.astype(np.int64))) + 1).tolist(), len(values)]
    for first, after in pairwise(cuts):
        yield float(curve.edges[first]), float(curve.edges[after]), int(values[first])


def _legend(curve: Curve, labels: tuple[str, ...]) -> Iterator[Shape]:
    """Classes in the order of the stack, each with its share of the frames."""
    palette = colours(labels)
    step = min(24.0, (BOTTOM - TOP) / len(labels))
    yield Text("share of frames", WIDTH - 24, 48, 11, _SOFT, "end")
    for row, index in enumerate(reversed(range(len(labels)))):
        top = TOP + row * step
        yield Rectangle(_LEGEND, top + 2, 14, 14, palette[index])
        yield Text(labels[index], _LEGEND + 22, top + 13.5, 12, _INK)
        yield Text(f"{100 * curve.shares[index]:.0f} %", WIDTH - 24, top + 13.5, 12, _INK, "end")
    if _missing(curve).any():
        yield Text("pale: no face or no sound", _LEGEND, _LABEL_STRIP[0] + 13, 11, _SOFT)
