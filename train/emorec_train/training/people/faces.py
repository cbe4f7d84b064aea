"""A still face as video: it rises and falls, sways, and moves its mouth while it speaks.

Shapes: ``S`` side of a crop in pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

MOUTH_TOP = 0.62
"""Share of the crop's height above which nothing moves with speech."""


@dataclass(frozen=True, slots=True)
class Sway:
    """Slow movement of one clip's face and how its picture is taken.

    Attributes:
        phases: float64 ``[4]``, of tilt, size, and both shifts.
        periods_seconds: float64 ``[4]``.
        amounts: float64 ``[4]``: degrees, relative size, and shares of the side.
        offset: float64 ``[4]``, the same, throughout the clip.
        gamma: Of the light.
        blur: Factor by which the crop is made smaller and enlarged again; 1 leaves it.
        noise: Standard deviation in grey levels.
    """

    phases: NDArray[np.float64]
    periods_seconds: NDArray[np.float64]
    amounts: NDArray[np.float64]
    offset: NDArray[np.float64]
    gamma: float
    blur: float
    noise: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Sway:
        """One clip's."""
        largest = np.array([6.0, 0.06, 0.03, 0.03])
        return cls(
            rng.uniform(0.0, 2.0 * np.pi, 4),
            rng.uniform(1.0, 6.0, 4),
            rng.uniform(0.1, 1.0, 4) * largest,
            rng.uniform(-1.0, 1.0, 4) * largest,
            float(np.exp(rng.uniform(-0.4, 0.4))),
            float(rng.uniform(1.0, 2.2)) if rng.random() < 0.3 else 1.0,
            float(rng.uniform(0.0, 6.0)),
        )

    def at(self, seconds: float) -> NDArray[np.float64]:
        """Tilt, size and shifts."""
        angles = self.phases + 2.0 * np.pi * seconds / self.periods_seconds
        return np.asarray(self.offset + self.amounts * np.sin(angles))


def blended(rest: NDArray[np.uint8], face: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """A picture between a neutral and an expressive one, uint8 ``[S, S]``."""
    if share in {0.0, 1.0}:
        return face if share else rest
    return np.asarray(cv2.addWeighted(rest, 1.0 - share, face, share, 0.0), np.uint8)


def spoken(face: NDArray[np.uint8], openness: float) -> NDArray[np.uint8]:
    """Stretch what is below the nose by a share of its height, as a jaw does."""
    side = len(face)
    top = MOUTH_TOP * side
    rows = np.arange(side, dtype=np.float32)
    source = np.where(rows > top, top + (rows - top) / (1.0 + openness), rows).astype(np.float32)
    columns = np.broadcast_to(np.arange(side, dtype=np.float32), (side, side))
    moved = cv2.remap(face, columns, np.repeat(source[:, None], side, 1), cv2.INTER_LINEAR)
    return np.asarray(moved, np.uint8)


def filmed(
    face: NDArray[np.uint8], sway: Sway, seconds: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """One frame, uint8 ``[S, S, 3]``, of a grey crop ``[S, S]``."""
    side = len(face)
    tilt, size, right, down = sway.at(seconds)
    matrix = cv2.getRotationMatrix2D((side / 2, side / 2), tilt, 1.0 + size)
    matrix[:, 2] += (right * side, down * side)
    moved = cv2.warpAffine(face, matrix, (side, side), borderMode=cv2.BORDER_REPLICATE)
    if sway.blur > 1.0:
        small = cv2.resize(moved, None, fx=1.0 / sway.blur, fy=1.0 / sway.blur, interpolation=cv2.INTER_AREA)
        moved = cv2.resize(small, (side, side))
    lit = 255.0 * (moved / 255.0) ** sway.gamma + rng.normal(0.0, sway.noise, moved.shape)
    return np.repeat(np.clip(np.rint(lit), 0, 255).astype(np.uint8)[..., None], 3, axis=2)
