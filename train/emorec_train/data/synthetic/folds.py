"""Folds and creases of the skin: soft dark lines that deepen with action units and age.

Shapes: T frames, P points; all in face units (see ``identity``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emorec_train.data.synthetic.identity import Identity
from emorec_train.data.synthetic.motion import ACROSS, ALONG, BULGE, SIDES, Array, Motion, points


@dataclass(frozen=True, slots=True)
class Fold:
    """A soft dark line.

    Attributes:
        points: float64 ``[T, P, 2]``.
        strength: float64 ``[T]``, 0 (none) to 1 (deep).
        width: In face units.
    """

    points: Array
    strength: Array
    width: float


def _fold(x: Array, y: Array, strength: Array, width: float) -> Fold:
    return Fold(points(x, y), np.clip(strength[:, 0], 0.0, 1.0), width)


def trace_folds(identity: Identity, motion: Motion, corner: Array) -> tuple[Fold, ...]:
    """All folds of one person; ``corner`` is the mouth's right corner, float64 ``[T, 2]``."""
    folds = [
        _chin_fold(identity, motion),
        *_forehead_folds(identity, motion),
        *_nose_folds(identity, motion),
    ]
    for side in SIDES:
        folds += _cheek_folds(identity, motion, corner, side)
    return tuple(folds)


def _chin_fold(identity: Identity, motion: Motion) -> Fold:
    jaw = motion.jaw()
    x = 0.16 * ACROSS + 0 * jaw
    y = identity.mouth_y + 0.16 + 0.24 * jaw + 0.03 * ACROSS**2 - 0.02 * motion.unit("chin_raise")
    return _fold(x, y, 0.25 + 0.45 * motion.unit("chin_raise"), 0.035)


def _forehead_folds(identity: Identity, motion: Motion) -> list[Fold]:
    inner, outer = motion.unit("inner_brow_raise"), motion.unit("outer_brow_raise")
    lower = motion.unit("brow_lower")
    folds = []
    for row, share in ((-0.44, 0.8), (-0.51, 1.0), (-0.58, 0.7)):
        wide = 0.16 + 0.2 * outer
        y = row - 0.03 * inner + 0.02 * ACROSS**2 * inner
        folds.append(
            _fold(wide * ACROSS, y, share * (0.12 * identity.age + 0.3 * inner + 0.25 * outer), 0.022)
        )
    for side in SIDES:
        x = side * (0.045 - 0.015 * lower) + 0 * ALONG
        y = identity.brow_y - 0.04 + 0.14 * ALONG + 0 * lower
        folds.append(_fold(x, y, 0.08 * identity.age + 0.75 * lower, 0.024))
    return folds


def _nose_folds(identity: Identity, motion: Motion) -> list[Fold]:
    wrinkle = motion.unit("nose_wrinkle")
    bridge = 0.07 * ACROSS + 0 * wrinkle
    folds = [_fold(bridge, row - 0.02 * ACROSS**2, 0.7 * wrinkle, 0.02) for row in (-0.17, -0.11)]
    for side in SIDES:
        x = side * (0.07 + (identity.nose_half_width - 0.07) * ALONG**3) + 0 * wrinkle
        y = identity.eye_y + (identity.nose_y - 0.03 - identity.eye_y) * ALONG
        folds.append(_fold(x, y, 0.22 + 0.2 * wrinkle, 0.045))
        bow = np.sin(np.pi * ALONG)
        x = side * identity.nose_half_width * (0.9 + 0.25 * bow + 0.15 * wrinkle)
        y = identity.nose_y - 0.08 + 0.1 * ALONG - 0.03 * wrinkle
        folds.append(_fold(x, y, 0.4 + 0.3 * wrinkle, 0.022))
    x, y = 0.8 * identity.nose_half_width * ACROSS, identity.nose_y + 0.03 - 0.03 * ACROSS**2
    folds.append(_fold(x + 0 * wrinkle, y - 0.03 * wrinkle, 0.45 + 0 * wrinkle, 0.03))
    return folds


def _cheek_folds(identity: Identity, motion: Motion, corner: Array, side: float) -> list[Fold]:
    smile, pull = motion.unit("cheek_raise"), motion.unit("lip_corner_pull")
    lip, depress = motion.unit("upper_lip_raise"), motion.unit("lip_corner_depress")
    start_x, start_y = identity.nose_half_width + 0.03, identity.nose_y - 0.04 - 0.03 * lip
    end_x, end_y = corner[:, :1] + 0.07, corner[:, 1:] - 0.02
    bow = np.sin(np.pi * ALONG) * (0.02 + 0.04 * pull)
    x = start_x + (end_x - start_x) * ALONG + bow
    y = start_y + (end_y - start_y) * ALONG**1.2
    deep = 0.1 + 0.25 * identity.age + 0.45 * pull + 0.4 * lip + 0.15 * depress
    folds = [_fold(side * x, y, deep, 0.03)]
    bag_y = identity.eye_y + identity.eye_half_height * (0.75 - 0.2 * smile) + 0.035 * BULGE
    bag_x = identity.eye_x + 0.95 * identity.eye_half_width * ACROSS
    tight = motion.unit("lid_tighten")
    folds.append(_fold(side * bag_x, bag_y, 0.12 + 0.2 * identity.age + 0.4 * smile + 0.25 * tight, 0.022))
    for spread in (-0.05, 0.03):
        foot_x = identity.eye_x + identity.eye_half_width + 0.03 + 0.1 * ALONG + 0 * smile
        foot_y = identity.eye_y + spread * ALONG
        folds.append(_fold(side * foot_x, foot_y, 0.15 * identity.age + 0.45 * smile, 0.016))
    crease_y = identity.eye_y - identity.eye_half_height * (0.35 + 0.9 * BULGE) + 0 * smile
    folds.append(_fold(side * bag_x, crease_y, 0.35 + 0 * smile, 0.022))
    mark_x, mark_y = corner[:, :1] + 0.02 + 0.05 * ALONG, corner[:, 1:] + 0.12 * ALONG
    folds.append(_fold(side * mark_x, mark_y, 0.1 * identity.age + 0.5 * depress, 0.024))
    return folds
