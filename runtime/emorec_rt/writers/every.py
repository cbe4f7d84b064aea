"""Rows of equal intervals in place of rows of frames."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from emorec_rt.faces import Box
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Format


@dataclass(slots=True)
class _Interval:
    number: int
    rows: list[Prediction] = field(default_factory=list)


class Every:
    """Reduce the frames of each interval ``[k * seconds, (k + 1) * seconds)`` to one row.

    Intervals count on the container's clock. Scores and measures are means over the frames that show or
    sound like someone; the label is the most probable class of the mean. ``face``, ``sound`` and
    ``interpolated`` say what at least half of the frames have, the box is the mean box, ``index`` and
    ``person`` are those of the first frame. An interval without any frame has no row.

    Args:
        seconds: Length of an interval.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._open: dict[int | None, _Interval] = {}

    def add(self, prediction: Prediction) -> list[Prediction]:
        """Take the next row; return the intervals that it ends."""
        number = math.floor(prediction.time_seconds / self._seconds + 1e-9)
        person = prediction.person
        interval = self._open.get(person)
        given = []
        if interval is None or interval.number != number:
            given = [] if interval is None else [self._reduced(interval)]
            interval = self._open[person] = _Interval(number)
        interval.rows.append(prediction)
        return given

    def finish(self) -> list[Prediction]:
        """No more rows will come: return the intervals that are still open."""
        rows = [self._reduced(interval) for interval in self._open.values()]
        self._open.clear()
        return rows

    def _reduced(self, interval: _Interval) -> Prediction:
        rows = interval.rows
        known = [row for row in rows if row.known] or rows
        mean = np.asarray(np.mean([row.probabilities for row in known], axis=0, dtype=np.float64), np.float32)
        labels = rows[0].labels
        first = rows[0]
        return replace(
            first,
            time_seconds=interval.number * self._seconds,
            label=labels[int(mean.argmax())] if labels else first.label,
            probabilities=mean,
            measures={name: float(np.mean([row.measures[name] for row in known])) for name in first.measures},
            face=_mostly(row.face for row in rows),
            sound=_mostly(row.sound for row in rows),
            box=_mean_box([row.box for row in rows if row.box is not None]),
            interpolated=_mostly(bool(row.interpolated) for row in rows) if first.flags else None,
        )


class EveryFormat:
    """A row format that is given one row for each interval.

    Args:
        inner: Turns the rows of intervals into text.
        seconds: Length of an interval.
    """

    def __init__(self, inner: Format, seconds: float) -> None:
        self._inner = inner
        self._every = Every(seconds)

    def header(self) -> str:
        """The inner format's."""
        return self._inner.header()

    def row(self, prediction: Prediction) -> str:
        """The intervals that this frame ends, often none."""
        return "".join(map(self._inner.row, self._every.add(prediction)))

    def end(self) -> str:
        """The last intervals, and the inner format's end."""
        return "".join(map(self._inner.row, self._every.finish())) + self._inner.end()


def _mostly(flags: Iterable[bool]) -> bool:
    values = list(flags)
    return 2 * sum(values) >= len(values)


def _mean_box(boxes: list[Box]) -> Box | None:
    if not boxes:
        return None
    sides = np.mean([(box.left, box.top, box.width, box.height) for box in boxes], axis=0)
    return Box(*sides.tolist())
