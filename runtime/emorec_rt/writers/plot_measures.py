"""Valence, arousal and action units below the classes, for bundles that tell them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np

from emorec_rt.bundle.tasks import VALENCE_AROUSAL
from emorec_rt.writers.curve import Curve
from emorec_rt.writers.palette import Colour
from emorec_rt.writers.plot_axis import ABSENT, INK, LEFT, PRESENT, RIGHT, SOFT, Axis, strip
from emorec_rt.writers.shapes import Line, Shape, Text

_PANEL: Final = 96.0
"""Height of the panel of valence and arousal, which go from -1 to 1."""

_UNIT_ROW: Final = 13.0
_UNIT_HEIGHT: Final = 8.0
_GAP: Final = 10.0
_COLOURS: Final[dict[str, Colour]] = {"valence": (0, 128, 128), "arousal": (160, 30, 90)}
"""Other colours than those of the classes."""

_SHADES: Final = 8
_LEGEND: Final = RIGHT + 22.0


def measures_height(curve: Curve) -> float:
    """Points that ``measures`` takes; 0 for a bundle of classes alone."""
    curves, units = _parts(curve)
    height = (_PANEL if curves else 0.0) + _UNIT_ROW * len(units)
    return height + _GAP if height else 0.0


def measures(curve: Curve, axis: Axis, top: float) -> Iterator[Shape]:
    """Curves of valence and arousal, and a strip for each action unit, as dark as it is likely.

    Args:
        curve: What to show.
        axis: Where times stand.
        top: Where the first of them begins.
    """
    curves, units = _parts(curve)
    if curves:
        yield from _panel(curve, curves, axis, top)
        top += _PANEL
    palette = [_shade(step / (_SHADES - 1)) for step in range(_SHADES)]
    for row, name in enumerate(units):
        steps = np.rint(np.clip(curve.measures[name], 0.0, 1.0) * (_SHADES - 1))
        yield from strip(curve, axis, name, (top + _UNIT_ROW * row, _UNIT_HEIGHT), steps, palette)


def _parts(curve: Curve) -> tuple[list[str], list[str]]:
    """Names that are drawn as curves, and those that are drawn as strips."""
    curves = [name for name in VALENCE_AROUSAL if name in curve.measures]
    return curves, [name for name in curve.measures if name not in curves]


def _panel(curve: Curve, names: list[str], axis: Axis, top: float) -> Iterator[Shape]:
    middle, reach = top + _PANEL / 2, _PANEL / 2 - 12.0
    for value in (-1, 0, 1):
        y = middle - value * reach
        yield Line((LEFT, y), (RIGHT, y), ABSENT, 0.8)
        yield Text(f"{value}", LEFT - 8, y + 4, 11, INK, "end")
    for row, name in enumerate(names):
        points = [
            (axis.x(float(time)), middle - float(value) * reach)
            for time, value in zip(curve.middles, curve.measures[name], strict=True)
        ]
        for start, end in pairwise(points):
            yield Line(start, end, _COLOURS[name], 1.5)
        yield Line((_LEGEND, middle + 18 * row - 9), (_LEGEND + 14, middle + 18 * row - 9), _COLOURS[name], 2)
        yield Text(name, _LEGEND + 22, middle + 18 * row - 5, 12, INK)
    yield Text("from -1 to 1", _LEGEND, middle + 18 * len(names) - 3, 11, SOFT)


def _shade(share: float) -> Colour:
    red, green, blue = (round(low + share * (high - low)) for low, high in zip(ABSENT, PRESENT, strict=True))
    return red, green, blue
