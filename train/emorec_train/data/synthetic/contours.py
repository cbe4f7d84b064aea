"""From action units to outlines: every line and area of the face's inner features, for all frames at once.

Shapes: T frames, P points of one outline; all in face units (see ``identity``). Outlines go from the inner
(nose) side to the outer side of each half of the face, or from the picture's left to its right.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from emorec_train.data.synthetic.folds import Fold, trace_folds
from emorec_train.data.synthetic.identity import Identity
from emorec_train.data.synthetic.motion import ACROSS, ALONG, BULGE, SIDES, Array, Motion, points


@dataclass(frozen=True, slots=True)
class Contours:
    """All inner features of the face; areas are closed outlines ``[T, P, 2]``, pairs are (left, right)."""

    brows: tuple[Array, Array]
    eyes: tuple[Array, Array]
    upper_lids: tuple[Array, Array]
    lower_lids: tuple[Array, Array]
    lashes: tuple[Array, Array]
    irises: tuple[Array, Array]
    iris_radius: float
    nostrils: tuple[Array, Array]
    lips: Array
    mouth: Array
    teeth: Array
    lenses: tuple[Array, Array]
    moustache: Array
    folds: tuple[Fold, ...]


def trace(identity: Identity, motion: Motion) -> Contours:
    """Outlines of one person's features in each frame."""
    frames = len(motion.units)
    corner, upper_inner, lower_inner = _mouth_lines(identity, motion)
    upper_outer, lower_outer = _lip_borders(identity, motion, upper_inner, lower_inner)
    left, right = (_eye(identity, motion, side) for side in SIDES)
    return Contours(
        brows=(_brow(identity, motion, -1.0), _brow(identity, motion, 1.0)),
        eyes=(left.opening, right.opening),
        upper_lids=(left.upper_lid, right.upper_lid),
        lower_lids=(left.lower_lid, right.lower_lid),
        lashes=(left.lash, right.lash),
        irises=(left.iris, right.iris),
        iris_radius=0.43 * identity.eye_half_width,
        nostrils=(_nostril(identity, motion, -1.0), _nostril(identity, motion, 1.0)),
        lips=_closed(upper_outer, lower_outer),
        mouth=_closed(upper_inner, lower_inner),
        teeth=_teeth(motion, upper_inner, lower_inner),
        lenses=(_lens(identity, -1.0, frames), _lens(identity, 1.0, frames)),
        moustache=_moustache(upper_outer),
        folds=trace_folds(identity, motion, corner),
    )


def _closed(upper: Array, lower: Array) -> Array:
    return np.concatenate([upper, lower[:, ::-1]], axis=1)


def _brow(identity: Identity, motion: Motion, side: float) -> Array:
    lower = motion.unit("brow_lower")
    inner, outer = (1 - ALONG) ** 1.5, np.sin(np.pi * np.clip(0.12 + 0.78 * ALONG, 0, 1)) * ALONG**0.5
    x = 0.13 + 0.36 * ALONG - 0.045 * lower * (1 - ALONG) + 0 * motion.blink[:, None]
    y = identity.brow_y - identity.brow_arch * np.sin(np.pi * ALONG**1.3) + 0.02 * ALONG
    y = y - 0.15 * motion.unit("inner_brow_raise") * inner - 0.12 * motion.unit("outer_brow_raise") * outer
    y = y + lower * (0.035 + 0.1 * inner) + 0.02 * motion.unit("nose_wrinkle") * inner
    half = identity.brow_thickness * (0.5 - 0.38 * ALONG**2)
    return _closed(points(side * x, y - half), points(side * x, y + half))


@dataclass(frozen=True, slots=True)
class _Eye:
    opening: Array
    upper_lid: Array
    lower_lid: Array
    lash: Array
    iris: Array


def _eye(identity: Identity, motion: Motion, side: float) -> _Eye:
    height = identity.eye_half_height
    smile, tight, shut = motion.unit("cheek_raise"), motion.unit("lid_tighten"), motion.blink[:, None]
    above = 0.62 + 0.55 * motion.unit("upper_lid_raise") - 0.3 * tight - 0.12 * smile
    above = above - 0.1 * motion.unit("brow_lower")
    below = 0.36 - 0.22 * tight - 0.28 * smile + 0.04 * motion.unit("upper_lid_raise")
    upper = height * np.maximum(above * (1 - shut) - 0.25 * shut, -0.25)
    lower = height * np.maximum(below * (1 - 0.2 * shut), 0.03)
    lower = np.maximum(lower, -upper + 0.012)
    x = identity.eye_x + identity.eye_half_width * ACROSS + 0 * shut
    middle = identity.eye_y - identity.eye_slant * identity.eye_half_width * ACROSS
    top, bottom = middle - upper * BULGE, middle + lower * BULGE
    crease, bag = middle - height * (0.45 + 1.25 * BULGE), middle + height * (0.3 + 1.15 * BULGE)
    gaze_x = side * identity.eye_x + 0.3 * identity.eye_half_width * motion.gaze[:, :1]
    gaze_y = identity.eye_y - 0.1 * height + 0.25 * height * motion.gaze[:, 1:]
    return _Eye(
        opening=_closed(points(side * x, top), points(side * x, bottom)),
        upper_lid=_closed(points(side * x, np.minimum(crease, top - 0.02)), points(side * x, top)),
        lower_lid=_closed(points(side * x, bottom), points(side * x, np.maximum(bag, bottom + 0.02))),
        lash=points(side * x, top),
        iris=points(gaze_x, gaze_y),
    )


def _nostril(identity: Identity, motion: Motion, side: float) -> Array:
    turn = np.linspace(0, 2 * np.pi, 9)[:-1]
    wide = 1 + 0.25 * motion.unit("nose_wrinkle") + 0.1 * motion.unit("lip_corner_pull")
    x = side * identity.nose_half_width * 0.5 * wide + 0.3 * identity.nose_half_width * np.cos(turn)
    y = identity.nose_y - 0.035 * motion.unit("nose_wrinkle") + 0.016 * np.sin(turn)
    return points(x, y)


def _mouth_lines(identity: Identity, motion: Motion) -> tuple[Array, Array, Array]:
    """The mouth's right corner ``[T, 2]``, the upper lip's lower edge and the lower lip's upper edge."""
    pull, press = motion.unit("lip_corner_pull"), motion.unit("lip_press")
    jaw = motion.jaw()
    spread = (
        1 + 0.3 * pull + 0.25 * motion.unit("lip_stretch") - 0.35 * motion.unit("lip_pucker") - 0.22 * jaw
    )
    corner_x = identity.mouth_half_width * spread
    corner_y = identity.mouth_y - 0.012 - 0.11 * pull + 0.12 * motion.unit("lip_corner_depress") + 0.115 * jaw
    corner_y = corner_y - 0.02 * motion.unit("chin_raise")
    lift = 0.055 * motion.unit("upper_lip_raise") + 0.02 * motion.unit("nose_wrinkle") + 0.015 * jaw
    top = identity.mouth_y - lift - 0.02 * motion.unit("chin_raise")
    opening = np.maximum(
        0.24 * jaw + 0.07 * pull + 0.25 * lift - 0.05 * press - 0.06 * motion.unit("chin_raise"), 0
    )
    bottom = top + opening
    curve = np.abs(ACROSS) ** 2.2
    x = corner_x * ACROSS
    upper = top + (corner_y - top) * curve
    lower = bottom + (corner_y - bottom) * np.abs(ACROSS) ** 2.6
    corner = np.concatenate([corner_x, corner_y], axis=1)
    return corner, points(x, upper), points(x, lower)


def _lip_borders(identity: Identity, motion: Motion, upper: Array, lower: Array) -> tuple[Array, Array]:
    thin = 1 - 0.65 * motion.unit("lip_press") - 0.25 * motion.unit("lip_corner_pull")
    thin = thin + 0.3 * motion.unit("lip_pucker")
    bow = 1 - 0.3 * np.exp(-((ACROSS / 0.18) ** 2))
    above = np.zeros_like(upper)
    above[..., 1] = -identity.upper_lip * thin * BULGE * bow - 0.006
    below = np.zeros_like(lower)
    below[..., 1] = identity.lower_lip * (thin + 0.2 * motion.unit("chin_raise")) * BULGE + 0.006
    return upper + above, lower + below


def _teeth(motion: Motion, upper: Array, lower: Array) -> Array:
    inner = slice(1, -1)
    shown = 0.015 + 0.045 * motion.unit("lip_corner_pull") + 0.04 * motion.unit("upper_lip_raise")
    edge = upper[:, inner].copy()
    edge[..., 1] = np.minimum(edge[..., 1] + shown, 0.25 * edge[..., 1] + 0.75 * lower[:, inner, 1])
    return _closed(upper[:, inner], edge)


def _moustache(upper_outer: Array) -> Array:
    top = upper_outer.copy()
    top[..., 0] *= 1.08
    top[..., 1] = top[..., 1] - 0.1 * np.maximum(BULGE, 0.15)
    return _closed(top, upper_outer * [1.12, 1.0] + [0.0, 0.012])


def _lens(identity: Identity, side: float, frames: int) -> Array:
    """A glass's frame: an ellipse, or nearly a rectangle."""
    turn = np.linspace(0, 2 * np.pi, 24)
    power = 1.0 if identity.glasses_round else 0.55
    x = side * (identity.eye_x + 0.01) + 0.225 * np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    y = identity.eye_y + 0.03 + 0.175 * np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    return np.repeat(np.stack([x, y], axis=-1)[None], frames, axis=0)
