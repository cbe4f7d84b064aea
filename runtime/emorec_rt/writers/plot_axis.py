"""Time along a plot: its axis, and strips of colour above it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.writers.curve import Curve
from emorec_rt.writers.palette import Colour
from emorec_rt.writers.shapes import Line, Rectangle, Shape, Text

LEFT, RIGHT = 62.0, 762.0

INK: Final[Colour] = (38, 38, 38)
SOFT: Final[Colour] = (110, 110, 110)
PRESENT: Final[Colour] = (96, 106, 118)
ABSENT: Final[Colour] = (228, 230, 233)

_TICK_STEPS_SECONDS: Final = (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200)
_MAX_TICKS: Final = 10
_SECONDS_UP_TO: Final = 120.0
_HOUR: Final = 3600.0


class Axis:
    """Presentation time to x, and the ticks below.

    Args:
        start: Presentation time at the left edge, in seconds.
        end: At the right edge.
        origin: What is called zero.
    """

    def __init__(self, start: float, end: float, origin: float) -> None:
        self._start, self._end, self._origin = start, max(end, start + 1e-3), origin

    def x(self, seconds: float) -> float:
        """Place of a presentation time."""
        return LEFT + (seconds - self._start) / (self._end - self._start) * (RIGHT - LEFT)

    def shapes(self, y: float) -> Iterator[Shape]:
        """Line at ``y``, ticks, figures, unit."""
        yield Line((LEFT, y), (RIGHT, y), SOFT, 0.8)
        for seconds in self._ticks():
            x = self.x(seconds + self._origin)
            yield Line((x, y), (x, y + 4), SOFT, 0.8)
            yield Text(self._figure(seconds), x, y + 17, 11, INK, "middle")
        yield Text(self._unit(), (LEFT + RIGHT) / 2, y + 35, 11, SOFT, "middle")

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


def strip(
    curve: Curve,
    axis: Axis,
    name: str,
    place: tuple[float, float],
    values: NDArray[Any],
    palette: Sequence[Colour],
) -> Iterator[Shape]:
    """A row of colours.

    Args:
        curve: Its times.
        axis: Where they stand.
        name: What stands before it.
        place: Top and height.
        values: ``[N]``, places in the palette.
        palette: A colour for each value.
    """
    top, height = place
    yield Text(name, LEFT - 8, top + height / 2 + 3.8, 11, INK, "end")
    for start, end, value in stretches(curve, values):
        yield Rectangle(axis.x(start), top, axis.x(end) - axis.x(start), height, palette[value])


def stretches(curve: Curve, values: NDArray[Any]) -> Iterator[tuple[float, float, int]]:
    """Start, end and value of each run of one value."""
    cuts = [0, *(np.flatnonzero(np.diff(values.astype(np.int64))) + 1).tolist(), len(values)]
    for first, after in pairwise(cuts):
        yield float(curve.edges[first]), float(curve.edges[after]), int(values[first])
