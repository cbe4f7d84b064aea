"""The few shapes that a plot is made of; a canvas draws them, whatever it draws on.

Coordinates are in points from the top left corner, y downwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from emorec_rt.writers.palette import Colour

Anchor = Literal["start", "middle", "end"]


@dataclass(frozen=True, slots=True)
class Rectangle:
    """A filled rectangle; ``opacity`` in [0, 1]."""

    left: float
    top: float
    width: float
    height: float
    fill: Colour
    opacity: float = 1.0


@dataclass(frozen=True, slots=True)
class Polygon:
    """A filled area; ``points`` is float64 ``[N, 2]``, x and y."""

    points: NDArray[np.float64]
    fill: Colour


@dataclass(frozen=True, slots=True)
class Line:
    """A straight line of ``width`` points."""

    start: tuple[float, float]
    end: tuple[float, float]
    colour: Colour
    width: float = 1.0


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; ``size`` in points, ``left`` and ``baseline`` place its anchor."""

    text: str
    left: float
    baseline: float
    size: float
    colour: Colour
    anchor: Anchor = "start"
    bold: bool = False


Shape = Rectangle | Polygon | Line | Text


@dataclass(frozen=True, slots=True)
class Drawing:
    """A picture of ``width`` by ``height`` points; shapes are drawn in their order.

    Attributes:
        title: What it shows, for readers that don't see it.
    """

    width: float
    height: float
    title: str
    shapes: Sequence[Shape] = field(default_factory=tuple)
