"""Parts that don't move within a head: skin, ears, hair and beard (colours with coverage), and their shading.

Drawn once a clip on a canvas in face units; each frame warps the canvas into the picture.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_train.data.synthetic.identity import Colour, Identity, shadowed

CANVAS_SCALE: Final = 96.0
"""Canvas pixels in a face unit."""

LEFT, TOP, RIGHT, BOTTOM = -1.15, -1.35, 1.15, 1.75
"""Extent of the canvas, in face units."""

JAW_Y: Final = 0.35
"""Below this line the head gets longer when the jaw drops."""

FULL_LIGHT: Final = 128
"""Value of ``Head.shading`` that leaves a colour as it is; more is brighter."""

_SUPERSAMPLING: Final = 2
_SHIFT: Final = 4


@dataclass(frozen=True, slots=True)
class Head:
    """Canvas layers.

    Attributes:
        colours: uint8 ``[h, w, 3]``, RGB, black where nothing is (premultiplied by coverage).
        coverage: uint8 ``[h, w, 3]``, 255 where the head is, thrice the same.
        shading: uint8 ``[h/2, w/2, 3]``, light on the head, 128 is full light.
    """

    colours: NDArray[np.uint8]
    coverage: NDArray[np.uint8]
    shading: NDArray[np.uint8]


class _Canvas:
    """Draws outlines in face units onto colours and coverage at once."""

    def __init__(self) -> None:
        self.scale = CANVAS_SCALE * _SUPERSAMPLING
        self.size = (round((RIGHT - LEFT) * self.scale), round((BOTTOM - TOP) * self.scale))
        self.layers = np.zeros((self.size[1], self.size[0], 4), dtype=np.uint8)

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        scaled = (points - np.array([LEFT, TOP])) * self.scale * (1 << _SHIFT)
        return np.asarray(np.round(scaled), dtype=np.int32)

    def area(self, points: NDArray[np.float64], colour: Colour) -> None:
        cv2.fillPoly(self.layers, [self.pixels(points)], (*colour, 255.0), cv2.LINE_AA, _SHIFT)

    def line(self, points: NDArray[np.float64], colour: Colour, width: float) -> None:
        thickness = max(1, round(width * self.scale))
        cv2.polylines(
            self.layers, [self.pixels(points)], False, (*colour, 255.0), thickness, cv2.LINE_AA, _SHIFT
        )


def draw_head(rng: np.random.Generator, identity: Identity) -> Head:
    """Draw one person's head under a light from a random side."""
    canvas = _Canvas()
    outline = head_outline(identity)
    _draw_back_hair(rng, canvas, identity)
    _draw_ears(canvas, identity)
    canvas.area(outline, identity.skin)
    _draw_beard(canvas, identity, outline)
    _draw_front_hair(rng, canvas, identity)
    size = (canvas.size[0] // _SUPERSAMPLING, canvas.size[1] // _SUPERSAMPLING)
    layers = cv2.resize(canvas.layers, size, interpolation=cv2.INTER_AREA)
    coverage = cv2.cvtColor(np.ascontiguousarray(layers[..., 3]), cv2.COLOR_GRAY2RGB)
    colours = np.ascontiguousarray(layers[..., :3])
    half = (size[0] // 2, size[1] // 2)
    shading = _fade_outside(_draw_shading(rng, identity, half), _as_bytes(coverage))
    return Head(_as_bytes(colours), _as_bytes(coverage), shading)


def _fade_outside(shading: NDArray[np.uint8], coverage: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Full light where the head isn't, so that its shading leaves the background alone."""
    size = (shading.shape[1], shading.shape[0])
    grown = cv2.dilate(cv2.resize(coverage, size, interpolation=cv2.INTER_AREA), np.ones((5, 5), np.uint8))
    share = cv2.GaussianBlur(grown, (5, 5), 0) / 255.0
    return _as_bytes(share * shading + (1 - share) * FULL_LIGHT)


def _as_bytes(image: object) -> NDArray[np.uint8]:
    return np.asarray(image, dtype=np.uint8)


def head_outline(identity: Identity, points: int = 48) -> NDArray[np.float64]:
    """The head without hair and ears, float64 ``[points, 2]``: an egg, narrower at the chin."""
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    x, y = np.sin(turn), -np.cos(turn)
    narrowing = 1 - (1 - identity.jaw_width) * np.clip(y, 0, 1) ** 1.5
    squareness = np.abs(x) ** (0.88 if identity.jaw_width > 0.85 else 1.0) * np.sign(x)
    return np.stack([identity.half_width * squareness * narrowing, y], axis=1)


def _draw_ears(canvas: _Canvas, identity: Identity) -> None:
    turn = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    for side in (-1.0, 1.0):
        centre = np.array([side * (identity.half_width + 0.0), 0.02])
        canvas.area(centre + np.stack([0.1 * np.cos(turn), 0.19 * np.sin(turn)], axis=1), identity.skin)
        canvas.area(
            centre + np.stack([0.055 * np.cos(turn), 0.12 * np.sin(turn)], axis=1), shadowed(identity.skin)
        )


def _strands(
    rng: np.random.Generator, canvas: _Canvas, paths: list[NDArray[np.float64]], colour: Colour
) -> None:
    for path in paths:
        tint = rng.uniform(0.72, 1.3)
        shade: Colour = (colour[0] * tint, colour[1] * tint, colour[2] * tint)
        canvas.line(path, shade, rng.uniform(0.008, 0.02))


def _draw_back_hair(rng: np.random.Generator, canvas: _Canvas, identity: Identity) -> None:
    if identity.hair_style == "bald":
        return
    width, turn = identity.half_width + 0.12, np.linspace(np.pi, 2 * np.pi, 20)
    dome = np.stack([width * np.cos(turn), -0.25 + 0.95 * np.sin(turn)], axis=1)
    if identity.hair_style == "long":
        length = rng.uniform(0.7, 1.5)
        ends = np.array(
            [[width + 0.08, 0.4], [width + 0.02, length], [-width - 0.02, length], [-width - 0.08, 0.4]]
        )
        canvas.area(np.concatenate([dome, ends]), identity.hair)
        columns = np.concatenate([np.linspace(-width, -0.6, 9), np.linspace(0.6, width, 9)])
        paths = [np.array([[x, -0.2], [x * 1.06, 0.4], [x * 1.02, length]]) for x in columns]
        _strands(rng, canvas, paths, identity.hair)
        neck = np.array([[-0.38, 0.5], [0.38, 0.5], [0.42, min(length, 1.25)], [-0.42, min(length, 1.25)]])
        canvas.area(neck, shadowed(identity.skin))
        return
    if identity.hair_style == "bun":
        around = np.linspace(0, 2 * np.pi, 20)
        canvas.area(np.stack([0.25 * np.cos(around), -1.14 + 0.2 * np.sin(around)], axis=1), identity.hair)
    bottom = -0.1 if identity.hair_style != "fringe" else 0.1
    canvas.area(np.concatenate([dome, [[width - 0.04, bottom], [-width + 0.04, bottom]]]), identity.hair)


def _draw_front_hair(rng: np.random.Generator, canvas: _Canvas, identity: Identity) -> None:
    if identity.hair_style == "bald":
        return
    width, turn = identity.half_width + 0.08, np.linspace(np.pi, 2 * np.pi, 20)
    dome = np.stack([width * np.cos(turn), -0.28 + 0.88 * np.sin(turn)], axis=1)
    fringe = identity.hair_style == "fringe"
    line = identity.hairline_y + (0.14 if fringe else 0.0)
    parting = rng.uniform(-0.4, 0.4)
    across = np.linspace(1.0, -1.0, 15)
    edge_x = (identity.half_width - 0.03) * across
    drop = 0.42 * np.abs(across) ** (3.5 if fringe else 2.2)
    edge_y = line + drop - (0.0 if fringe else 0.08 * np.exp(-(((across - parting) / 0.25) ** 2)))
    edge_y = edge_y + rng.uniform(-0.025, 0.025, len(across))
    edge = np.stack([edge_x, edge_y], axis=1)
    canvas.area(np.concatenate([dome, edge]), identity.hair)
    tops = np.stack([0.75 * width * across, -0.28 - 0.8 * np.sqrt(1 - (0.75 * across) ** 2)], axis=1)
    paths = [
        np.array([[parting * 0.3 + 0.7 * top[0], top[1]], (top + end) / 2 + [0.05 * end[0], 0.0], end])
        for top, end in zip(np.repeat(tops, 2, axis=0), np.repeat(edge, 2, axis=0) * [1.0, 1.0], strict=True)
    ]
    _strands(rng, canvas, [path + rng.uniform(-0.03, 0.0, (1, 2)) for path in paths], identity.hair)


def _draw_beard(canvas: _Canvas, identity: Identity, outline: NDArray[np.float64]) -> None:
    """Beard on jaw and chin; the moustache moves with the lip and is drawn a frame at a time."""
    if identity.beard in ("none", "moustache"):
        return
    half, y = identity.mouth_half_width, identity.mouth_y
    lower = outline[outline[:, 1] > 0.2]
    edge = np.array([[-1.5, -0.05], [-1.1, -0.11], [0.0, -0.13], [1.1, -0.11], [1.5, -0.05]])
    canvas.area(np.concatenate([lower, edge * [half, 1.0] + [0.0, y]]), identity.beard_colour)


def _draw_shading(rng: np.random.Generator, identity: Identity, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Lambert and ambient light on an ellipsoid, plus darker eye sockets and lighter nose and cheeks."""
    scale = CANVAS_SCALE / 2
    x, y = np.meshgrid(LEFT + np.arange(size[0]) / scale, TOP + np.arange(size[1]) / scale)
    nx, ny = x / (identity.half_width * 1.12), y / 1.15
    nz = np.sqrt(np.clip(1 - nx**2 - ny**2, 0.04, 1))
    angle, height = rng.uniform(-1.0, 1.0), rng.uniform(-0.7, 0.1)
    light = np.array([angle, height, 1.0]) / np.sqrt(angle**2 + height**2 + 1)
    lambert = np.clip(nx * light[0] + ny * light[1] + nz * light[2], 0, 1)
    contrast = rng.uniform(0.25, 0.75)
    shade = 1.08 * ((1 - contrast) + contrast * lambert)
    for side in (-1, 1):
        shade -= 0.13 * _spot(x, y, side * identity.eye_x, identity.eye_y - 0.05, 0.17, 0.11)
        shade += 0.07 * _spot(x, y, side * 0.4, 0.2, 0.16, 0.13)
    shade += 0.12 * _spot(x, y, 0, identity.nose_y - 0.06, 0.06, 0.05)
    shade += 0.08 * _spot(x, y, 0, 0.0, 0.035, 0.16)
    shade -= 0.1 * _spot(x, y, 0, identity.nose_y + 0.09, 0.1, 0.035)
    warm = 1 + np.array([1.0, 0.0, -1.0]) * rng.uniform(-0.08, 0.1)
    blush = np.array([0.0, -1.0, -0.8]) * rng.uniform(0.0, 0.08)
    cheeks = sum(_spot(x, y, side * 0.42, 0.22, 0.16, 0.12) for side in (-1, 1))
    shading = shade[..., None] * warm + np.asarray(cheeks)[..., None] * blush
    return np.asarray(np.clip(FULL_LIGHT * shading, 0, 255), dtype=np.uint8)


def _spot(
    x: NDArray[np.float64], y: NDArray[np.float64], cx: float, cy: float, wx: float, wy: float
) -> NDArray[np.float64]:
    return np.asarray(np.exp(-0.5 * (((x - cx) / wx) ** 2 + ((y - cy) / wy) ** 2)))
