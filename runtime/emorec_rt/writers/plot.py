"""The timeline's layout: one description that both SVG and PNG are drawn from."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.writers.curve import Curve
from emorec_rt.writers.palette import Colour, colours
from emorec_rt.writers.plot_axis import ABSENT, INK, LEFT, PRESENT, RIGHT, SOFT, Axis, stretches, strip
from emorec_rt.writers.plot_measures import measures, measures_height
from emorec_rt.writers.shapes import Drawing, Line, Polygon, Rectangle, Shape, Text

WIDTH: Final = 960.0
TOP, BOTTOM = 62.0, 302.0
PLOT_COLUMNS: Final = round(RIGHT - LEFT)
"""One column a point."""

_LABEL_STRIP: Final = (312.0, 18.0)  # top and height
_FACE_STRIP: Final = (338.0, 8.0)
_SOUND_STRIP: Final = (352.0, 8.0)
_AXIS: Final = 366.0
HEIGHT: Final = 414.0
_LEGEND: Final = 784.0

_WHITE: Final[Colour] = (255, 255, 255)
_VEIL: Final = 0.62
_TITLE_LETTERS: Final = 70
_NOTICE_LETTERS: Final = 140
_NOTICE_ROW: Final = 15.0


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
    axis = Axis(float(curve.edges[0]), float(curve.edges[-1]), origin_seconds)
    lines = textwrap.wrap(notice, _NOTICE_LETTERS)
    measured = measures_height(curve)
    height = HEIGHT + measured + _NOTICE_ROW * len(lines)
    shapes = [
        *_heading(title, height),
        *_areas(curve, labels, axis),
        *_veils(curve, axis),
        *_probability_axis(),
        *_strips(curve, labels, axis),
        *measures(curve, axis, _AXIS),
        *axis.shapes(_AXIS + measured),
        *_legend(curve, labels),
        *_notice(lines, HEIGHT + measured),
    ]
    return Drawing(WIDTH, height, f"{title}: probabilities over time", shapes)


def _heading(title: str, height: float) -> Iterator[Shape]:
    shown = title if len(title) <= _TITLE_LETTERS else title[: _TITLE_LETTERS - 3] + "..."
    yield Rectangle(0, 0, WIDTH, height, _WHITE)
    yield Text(shown, LEFT, 28, 16, INK, bold=True)
    yield Text("Probability of each class, stacked", LEFT, 48, 11, SOFT)


def _notice(lines: Sequence[str], top: float) -> Iterator[Shape]:
    for row, line in enumerate(lines):
        yield Text(line, LEFT, top + _NOTICE_ROW * row, 10, SOFT)


def _areas(curve: Curve, labels: tuple[str, ...], axis: Axis) -> Iterator[Shape]:
    """Each class from the bottom up to its cumulated probability, the highest first: no seams show."""
    times = [curve.edges[0], *curve.middles, curve.edges[-1]]
    x = np.array([axis.x(float(t)) for t in times])
    ends = np.pad(curve.probabilities, ((1, 1), (0, 0)), mode="edge")
    tops = np.cumsum(ends, axis=1) / ends.sum(axis=1, keepdims=True)
    for index in reversed(range(len(labels))):
        y = BOTTOM - tops[:, index] * (BOTTOM - TOP)
        outline = np.stack([np.concatenate([[x[0]], x, [x[-1]]]), np.concatenate([[BOTTOM], y, [BOTTOM]])], 1)
        yield Polygon(outline, colours(labels)[index])


def _veils(curve: Curve, axis: Axis) -> Iterator[Shape]:
    for start, end, missing in stretches(curve, _missing(curve)):
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
        yield Line((LEFT - 4, y), (LEFT, y), SOFT, 0.8)
        yield Text(f"{share:g}", LEFT - 8, y + 4, 11, INK, "end")


def _strips(curve: Curve, labels: tuple[str, ...], axis: Axis) -> Iterator[Shape]:
    palette = (*colours(labels), ABSENT)  # the last one is for -1, where no label is asserted
    yield from strip(curve, axis, "class", _LABEL_STRIP, curve.labels, palette)
    on_off = (ABSENT, PRESENT)
    yield from strip(curve, axis, "face", _FACE_STRIP, curve.face >= 0.5, on_off)
    yield from strip(curve, axis, "sound", _SOUND_STRIP, curve.sound >= 0.5, on_off)


def _legend(curve: Curve, labels: tuple[str, ...]) -> Iterator[Shape]:
    """Classes in the order of the stack, each with its share of the frames."""
    palette = colours(labels)
    step = min(24.0, (BOTTOM - TOP) / len(labels))
    yield Text("share of frames", WIDTH - 24, 48, 11, SOFT, "end")
    for row, index in enumerate(reversed(range(len(labels)))):
        top = TOP + row * step
        yield Rectangle(_LEGEND, top + 2, 14, 14, palette[index])
        yield Text(labels[index], _LEGEND + 22, top + 13.5, 12, INK)
        yield Text(f"{100 * curve.shares[index]:.0f} %", WIDTH - 24, top + 13.5, 12, INK, "end")
    if _missing(curve).any():
        yield Text("pale: no face or no sound", _LEGEND, _LABEL_STRIP[0] + 13, 11, SOFT)
