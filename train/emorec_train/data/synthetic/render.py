"""Frames: the head's layers warped, its features drawn, light and camera on top.

Shapes: T frames, P points. Points go from face units over an ellipsoid turned by the pose into pixels, so
features move against the head's outline as it turns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_train.data.synthetic.contours import Contours
from emorec_train.data.synthetic.folds import Fold
from emorec_train.data.synthetic.head import CANVAS_SCALE, FULL_LIGHT, JAW_Y, LEFT, TOP, Head, head_outline
from emorec_train.data.synthetic.identity import Colour, Identity
from emorec_train.data.synthetic.scene import Camera, Occluder, Pose

_SHIFT: Final = 4
_DEPTH: Final = 0.52
_JAW_STRETCH: Final = 0.16
_WHITE: Final[Colour] = (236.0, 232.0, 228.0)
_TEETH: Final[Colour] = (228.0, 222.0, 208.0)
_MOUTH: Final[Colour] = (74.0, 26.0, 28.0)
_DARK: Final[Colour] = (30.0, 22.0, 22.0)

Pixels = NDArray[np.int32]
"""Fixed-point pixel coordinates with ``_SHIFT`` fractional bits."""


@dataclass(frozen=True, slots=True)
class Person:
    """Everything that is drawn, before it meets the picture.

    Attributes:
        identity: Whose face.
        head: Its static layers.
        contours: Its features in each frame.
        jaw: float64 ``[T]``, how far the jaw is down.
    """

    identity: Identity
    head: Head
    contours: Contours
    jaw: NDArray[np.float64]


def project(points: NDArray[np.float64], pose: Pose) -> NDArray[np.float64]:
    """Face units to pixels: float64 ``[T, P, 2]`` to float64 ``[T, P, 2]``."""
    x, y = points[..., 0], points[..., 1]
    z = _DEPTH * np.sqrt(np.clip(1 - (x / 0.95) ** 2 - (y / 1.25) ** 2, 0.0, 1.0))
    yaw, pitch, roll = pose.yaw[:, None], pose.pitch[:, None], pose.roll[:, None]
    turned_x = x * np.cos(yaw) + z * np.sin(yaw)
    turned_y = y * np.cos(pitch) + z * np.sin(pitch)
    rolled_x = turned_x * np.cos(roll) - turned_y * np.sin(roll)
    rolled_y = turned_x * np.sin(roll) + turned_y * np.cos(roll)
    scale, centre = pose.scale[:, None], pose.centre[:, None]
    return np.stack([scale * rolled_x + centre[..., 0], scale * rolled_y + centre[..., 1]], axis=-1)


def head_boxes(person: Person, pose: Pose) -> NDArray[np.float32]:
    """Left, top, right, bottom of the head's outline in pixels, float32 ``[T, 4]``."""
    outline = np.repeat(head_outline(person.identity)[None], len(pose.scale), axis=0)
    outline[..., 1] += (
        _JAW_STRETCH * person.jaw[:, None] * np.clip((outline[..., 1] - JAW_Y) / (1 - JAW_Y), 0, 1)
    )
    cosine, sine = np.cos(pose.roll)[:, None], np.sin(pose.roll)[:, None]
    x = outline[..., 0] * cosine - outline[..., 1] * sine
    y = outline[..., 0] * sine + outline[..., 1] * cosine
    corners = np.stack([x.min(axis=1), y.min(axis=1), x.max(axis=1), y.max(axis=1)], axis=1)
    return np.asarray(corners * pose.scale[:, None] + np.tile(pose.centre, 2), dtype=np.float32)


class Renderer:
    """Draws the frames of one clip in order."""

    def __init__(
        self,
        person: Person,
        pose: Pose,
        background: NDArray[np.uint8],
        occluder: Occluder | None,
        camera: Camera,
    ) -> None:
        self._person = person
        self._pose = pose
        self._background = background
        self._camera = camera
        self._occluder = occluder
        self._size = (background.shape[1], background.shape[0])
        self._half = (background.shape[1] // 2, background.shape[0] // 2)
        contours = person.contours
        self._outlines = {
            field.name: self._fixed(getattr(contours, field.name))
            for field in fields(contours)
            if field.name not in ("folds", "iris_radius")
        }
        self._folds = [(fold, self._fixed(fold.points, 0.5)) for fold in contours.folds]

    def _fixed(self, shape: object, factor: float = 1.0) -> tuple[Pixels, ...]:
        shapes = shape if isinstance(shape, tuple) else (shape,)
        unit = factor * (1 << _SHIFT)
        return tuple(np.round(project(points, self._pose) * unit).astype(np.int32) for points in shapes)

    def frames(self, rng: np.random.Generator) -> Iterator[NDArray[np.uint8]]:
        """Yield each frame, uint8 ``[H, W, 3]``, RGB."""
        for index in range(len(self._pose.scale)):
            yield self._camera.record(rng, self._draw(index))

    def _draw(self, index: int) -> NDArray[np.uint8]:
        image, light = self._place_head(index)
        self._draw_eyes(image, index)
        self._draw_mouth(image, index)
        self._draw_brows_and_glasses(image, index)
        self._draw_occluder(image, index)
        self._draw_folds(light, index)
        full = cv2.resize(light, self._size, interpolation=cv2.INTER_LINEAR)
        return np.asarray(cv2.multiply(image, full, scale=1 / FULL_LIGHT), dtype=np.uint8)

    def _place_head(self, index: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The background with the plain head, and the light at half its size (128 is full light)."""
        head, jaw = self._person.head, float(self._person.jaw[index])
        matrix = self._canvas_to_picture(index)
        colours = cv2.warpAffine(_stretch_jaw(head.colours, jaw, 1.0), matrix, self._size)
        coverage = cv2.warpAffine(_stretch_jaw(head.coverage, jaw, 1.0), matrix, self._size)
        behind = cv2.multiply(self._background, cv2.bitwise_not(coverage), scale=1 / 255)
        image = cv2.add(behind, colours)
        half = matrix.copy()
        half[:, 2] *= 0.5
        shading = _stretch_jaw(head.shading, jaw, 0.5)
        light = cv2.warpAffine(shading, half, self._half, borderValue=(FULL_LIGHT, FULL_LIGHT, FULL_LIGHT))
        return np.asarray(image, dtype=np.uint8), np.asarray(light, dtype=np.uint8)

    def _canvas_to_picture(self, index: int) -> NDArray[np.float64]:
        pose = self._pose
        roll, scale = pose.roll[index], pose.scale[index]
        narrow = 1 - 0.25 * (1 - np.cos(pose.yaw[index]))
        cosine, sine = np.cos(roll), np.sin(roll)
        turn = scale * np.array([[cosine * narrow, -sine], [sine * narrow, cosine]])
        shift = pose.centre[index] + turn @ np.array([LEFT, TOP])
        return np.concatenate([turn / CANVAS_SCALE, shift[:, None]], axis=1)

    def _fill(self, image: NDArray[np.uint8], name: str, index: int, colour: Colour) -> None:
        for points in self._outlines[name]:
            cv2.fillPoly(image, [points[index]], colour, cv2.LINE_AA, _SHIFT)

    def _stroke(self, width: float, index: int) -> int:
        return max(1, round(width * float(self._pose.scale[index])))

    def _draw_eyes(self, image: NDArray[np.uint8], index: int) -> None:
        identity = self._person.identity
        self._fill(image, "eyes", index, _WHITE)
        radius = self._person.contours.iris_radius * float(self._pose.scale[index]) * (1 << _SHIFT)
        for points in self._outlines["irises"]:
            x, y = points[index, 0].tolist()
            cv2.circle(image, (x, y), round(radius), identity.iris, -1, cv2.LINE_AA, _SHIFT)
            cv2.circle(image, (x, y), round(0.5 * radius), _DARK, -1, cv2.LINE_AA, _SHIFT)
            spark = (round(x - 0.35 * radius), round(y - 0.4 * radius))
            cv2.circle(image, spark, round(0.2 * radius), (250.0, 250.0, 250.0), -1, cv2.LINE_AA, _SHIFT)
        self._fill(image, "upper_lids", index, identity.skin)
        self._fill(image, "lower_lids", index, identity.skin)
        for points in self._outlines["lashes"]:
            width = self._stroke(0.022, index)
            cv2.polylines(image, [points[index]], False, identity.brows, width, cv2.LINE_AA, _SHIFT)

    def _draw_mouth(self, image: NDArray[np.uint8], index: int) -> None:
        identity = self._person.identity
        self._fill(image, "nostrils", index, _DARK)
        if identity.beard != "none":
            self._fill(image, "moustache", index, identity.beard_colour)
        self._fill(image, "lips", index, identity.lips)
        self._fill(image, "mouth", index, _MOUTH)
        self._fill(image, "teeth", index, _TEETH)

    def _draw_brows_and_glasses(self, image: NDArray[np.uint8], index: int) -> None:
        identity = self._person.identity
        self._fill(image, "brows", index, identity.brows)
        if not identity.glasses:
            return
        left, right = (points[index] for points in self._outlines["lenses"])
        bridge = np.stack([left[12], right[12]])
        for line in (left, right, bridge):
            width = self._stroke(0.025, index)
            cv2.polylines(image, [line], False, identity.glasses_colour, width, cv2.LINE_AA, _SHIFT)

    def _draw_occluder(self, image: NDArray[np.uint8], index: int) -> None:
        if self._occluder is None:
            return
        occluder, scale = self._occluder, float(self._pose.scale[index])
        bars = (occluder.bars + occluder.path[index]) * scale + self._pose.centre[index]
        for start, end in np.round(bars).astype(int).tolist():
            cv2.line(image, start, end, occluder.colour, self._stroke(occluder.width, index), cv2.LINE_AA)

    def _draw_folds(self, light: NDArray[np.uint8], index: int) -> None:
        soft = np.full(light.shape[:2], 255, dtype=np.uint8)
        for fold, (points,) in self._folds:
            self._draw_fold(soft, fold, points[index], index)
        soft = np.asarray(cv2.GaussianBlur(soft, (3, 3), 0), dtype=np.uint8)
        cv2.multiply(light, cv2.cvtColor(soft, cv2.COLOR_GRAY2RGB), light, scale=1 / 255)

    def _draw_fold(self, soft: NDArray[np.uint8], fold: Fold, points: Pixels, index: int) -> None:
        strength = float(fold.strength[index])
        if strength > 0.03:
            width = max(1, round(0.5 * fold.width * float(self._pose.scale[index])))
            cv2.polylines(soft, [points], False, (255.0 * (1 - 0.45 * strength),), width, cv2.LINE_AA, _SHIFT)


def _stretch_jaw(layer: NDArray[np.uint8], jaw: float, factor: float) -> NDArray[np.uint8]:
    """Make the part below ``JAW_Y`` longer; the layer keeps its size."""
    first = round((JAW_Y - TOP) * CANVAS_SCALE * factor)
    chin = (1.0 - JAW_Y) * CANVAS_SCALE * factor
    height = layer.shape[0] - first
    longer = round(height * (1 + _JAW_STRETCH * jaw * CANVAS_SCALE * factor / chin))
    if longer == height:
        return layer
    lower = cv2.resize(layer[first:], (layer.shape[1], longer), interpolation=cv2.INTER_LINEAR)
    return np.concatenate([layer[:first], lower[:height]])
