"""Motion of a face in each frame, and the grids that its outlines are traced on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_train.data.synthetic.design import ACTION_UNITS

Array = NDArray[np.float64]

SIDES: Final = (-1.0, 1.0)
"""The half of the face: at the picture's left, at its right."""

ACROSS: Final = np.linspace(-1.0, 1.0, 11)
"""From one end of a line to the other, its middle at 0."""

ALONG: Final = np.linspace(0.0, 1.0, 7)
"""From a line's inner or upper end to its other end."""

BULGE: Final = (1 - ACROSS**2) ** 0.75
"""Bulge of a lid or a lip along ``ACROSS``."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Motion of the face in each frame.

    Attributes:
        units: float64 ``[T, A]``, strength of each action unit.
        blink: float64 ``[T]``, 0 open to 1 shut.
        gaze: float64 ``[T, 2]``, -1 to 1, to the picture's right and down.
        speech: float64 ``[T]``, how far speech opens the mouth.
    """

    units: Array
    blink: Array
    gaze: Array
    speech: Array

    def unit(self, name: str) -> Array:
        """Strength of one action unit, float64 ``[T, 1]``."""
        return self.units[:, ACTION_UNITS.index(name), None]

    def jaw(self) -> Array:
        """Drop of the jaw by expression and speech, float64 ``[T, 1]``."""
        return self.unit("jaw_drop") + 0.35 * self.speech[:, None]


def points(x: Array, y: Array) -> Array:
    """Join coordinates of any broadcastable shapes to points ``[..., 2]``."""
    return np.stack(np.broadcast_arrays(x, y), axis=-1)
