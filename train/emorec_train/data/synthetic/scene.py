"""Surroundings of the head: pose over time, background and body, light, occluders and the camera's flaws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_train.data.synthetic.identity import Colour, Identity, shadowed
from emorec_train.data.synthetic.types import ClipSpec

_NOISE_MARGIN: Final = 64
_DEGREE: Final = np.pi / 180


@dataclass(frozen=True, slots=True)
class Pose:
    """Position of the head in each frame, all float64.

    Attributes:
        centre: ``[T, 2]``, middle of the head in pixels.
        scale: ``[T]``, pixels in a face unit.
        yaw: ``[T]``, radians, to the picture's right.
        pitch: ``[T]``, radians, down.
        roll: ``[T]``, radians, clockwise.
    """

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    yaw: NDArray[np.float64]
    pitch: NDArray[np.float64]
    roll: NDArray[np.float64]


def wander(
    rng: np.random.Generator, times_seconds: NDArray[np.float64], middle: float, swing: float
) -> NDArray[np.float64]:
    """A smooth random curve, float64 ``[T]``: three slow waves around ``middle``, within ``swing`` of it."""
    rates, phases = rng.uniform(0.05, 0.5, 3), rng.uniform(0, 2 * np.pi, 3)
    waves = np.sin(2 * np.pi * np.outer(times_seconds, rates) + phases)
    return np.asarray(middle + swing * waves.mean(axis=1))


def draw_pose(rng: np.random.Generator, spec: ClipSpec, times_seconds: NDArray[np.float64]) -> Pose:
    """Head movement; the whole head stays in the picture."""
    side = min(spec.width, spec.height)
    size = rng.uniform(0.26, 0.37) * side
    free_x = max(0.0, spec.width / 2 - 0.95 * size - 0.04 * side)
    free_y = max(0.0, spec.height / 2 - 1.15 * size - 0.02 * side)
    centre_x = spec.width / 2 + rng.uniform(-free_x, free_x)
    centre_y = spec.height / 2 + rng.uniform(-free_y, free_y)
    return Pose(
        centre=np.stack(
            [
                wander(rng, times_seconds, centre_x, 0.03 * side),
                wander(rng, times_seconds, centre_y, 0.02 * side),
            ],
            axis=1,
        ),
        scale=wander(rng, times_seconds, size, 0.04 * size),
        yaw=wander(rng, times_seconds, rng.uniform(-11, 11) * _DEGREE, 8 * _DEGREE),
        pitch=wander(rng, times_seconds, rng.uniform(-7, 7) * _DEGREE, 5 * _DEGREE),
        roll=wander(rng, times_seconds, rng.uniform(-9, 9) * _DEGREE, 6 * _DEGREE),
    )


def draw_blinks(rng: np.random.Generator, times_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Lid closure of each frame, 0 to 1: a blink of about 0.2 s every few seconds."""
    blink = np.zeros_like(times_seconds)
    time = rng.uniform(0.3, 4.0)
    while time < times_seconds[-1]:
        width = rng.uniform(0.05, 0.09)
        np.maximum(blink, np.exp(-(((times_seconds - time) / width) ** 2)), out=blink)
        time += rng.uniform(1.5, 5.0)
    return blink


def draw_gaze(rng: np.random.Generator, times_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Direction of the eyes, float64 ``[T, 2]`` in [-1, 1]: held, with jumps now and then."""
    gaze = np.zeros((len(times_seconds), 2))
    time = 0.0
    while time < times_seconds[-1] + 1e-9:
        gaze[times_seconds >= time] = np.clip(rng.normal(0.0, 0.35, 2), -1, 1)
        time += rng.uniform(0.6, 3.0)
    return gaze


def draw_background(
    rng: np.random.Generator, spec: ClipSpec, identity: Identity, pose: Pose
) -> NDArray[np.uint8]:
    """A blurred room with the person's neck and shoulders, uint8 ``[H, W, 3]``; drawn once a clip."""
    image = _draw_room(rng, spec)
    _draw_body(rng, image, identity, pose.centre.mean(axis=0), float(pose.scale.mean()))
    return image


def _random_colour(rng: np.random.Generator, low: float = 20, high: float = 235) -> Colour:
    grey = rng.uniform(low, high)
    red, green, blue = np.clip(grey + rng.uniform(-45, 45, 3), 0, 255).tolist()
    return red, green, blue


def _draw_room(rng: np.random.Generator, spec: ClipSpec) -> NDArray[np.uint8]:
    corners = np.array(
        [[_random_colour(rng), _random_colour(rng)], [_random_colour(rng), _random_colour(rng)]]
    )
    corners = 0.5 * corners + 0.5 * corners.mean(axis=(0, 1))
    smooth = cv2.resize(corners.astype(np.float32), (spec.width, spec.height), interpolation=cv2.INTER_LINEAR)
    image = np.asarray(np.clip(smooth, 0, 255), dtype=np.uint8)
    for _ in range(int(rng.integers(0, 9))):
        x, y = int(rng.integers(spec.width)), int(rng.integers(spec.height))
        w, h = (rng.uniform(0.05, 0.5, 2) * (spec.width, spec.height)).astype(int).tolist()
        if rng.uniform() < 0.6:
            cv2.rectangle(image, (x - w // 2, y - h // 2), (x + w // 2, y + h // 2), _random_colour(rng), -1)
        else:
            cv2.circle(image, (x, y), w // 2, _random_colour(rng), -1)
    return np.asarray(
        cv2.GaussianBlur(image, (0, 0), rng.uniform(0.02, 0.06) * spec.height / 2), dtype=np.uint8
    )


def _draw_body(
    rng: np.random.Generator,
    image: NDArray[np.uint8],
    identity: Identity,
    centre: NDArray[np.float64],
    scale: float,
) -> None:
    clothes, shoulder = _random_colour(rng), rng.uniform(1.3, 1.8)
    neck = rng.uniform(0.36, 0.46)
    top = rng.uniform(1.2, 1.32)
    body = np.array(
        [
            [-neck, top],
            [neck, top],
            [shoulder * 0.85, top + 0.22],
            [shoulder, top + 0.6],
            [shoulder + 0.1, 4.0],
        ]
    )
    body = np.concatenate([body, body[::-1] * [-1, 1]])
    throat = np.array(
        [[-neck, 0.5], [neck, 0.5], [neck + 0.03, top + 0.02], [0, top + 0.3], [-neck - 0.03, top + 0.02]]
    )
    for points, colour in ((body, clothes), (throat, shadowed(identity.skin))):
        pixels = np.round((points * scale + centre) * 16).astype(np.int32)
        cv2.fillPoly(image, [pixels], colour, cv2.LINE_AA, 4)


@dataclass(frozen=True, slots=True)
class Occluder:
    """Something in front of the lower face for a while.

    Attributes:
        colour: RGB.
        bars: float64 ``[K, 2, 2]``, thick round-ended strokes in face units, around the thing's own middle.
        width: Stroke width in face units.
        path: float64 ``[T, 2]``, where its middle is, in face units (far away when not in view).
    """

    colour: Colour
    bars: NDArray[np.float64]
    width: float
    path: NDArray[np.float64]


def draw_occluder(
    rng: np.random.Generator, identity: Identity, times_seconds: NDArray[np.float64]
) -> Occluder | None:
    """A hand or a thing that comes from below, touches chin or cheek and goes again; None in most clips."""
    if rng.uniform() > 0.15:
        return None
    hand = rng.uniform() < 0.6
    fingers = np.array([[[0.15 * k - 0.3, 0.0], [0.13 * k - 0.26, 0.75]] for k in range(4)])
    fingers[:, 0, 1] += rng.uniform(-0.12, 0.12, 4)
    side = 1.0 if rng.uniform() < 0.5 else -1.0
    target = np.array([side * rng.uniform(0.35, 0.75), rng.uniform(0.62, 0.9)])
    middle, length = rng.uniform(0, times_seconds[-1] + 0.1), rng.uniform(0.5, 1.2)
    away = np.clip(np.abs(times_seconds - middle) / length - 0.6, 0, 1)[:, None] * 4
    return Occluder(
        colour=identity.skin if hand else _random_colour(rng),
        bars=fingers if hand else fingers[:1] * [1.0, rng.uniform(0.3, 1.0)],
        width=0.15 if hand else rng.uniform(0.15, 0.4),
        path=target + away * [side * 0.3, 1.0],
    )


@dataclass(frozen=True, slots=True)
class Camera:
    """Recording of the picture.

    Attributes:
        noise: int16 ``[H + margin, W + margin, 3]``, a pool that each frame takes a random part of.
        blur_sigma: Pixels, 0 for none.
        jpeg_quality: 1 to 100, 0 for no compression.
        curve: uint8 ``[256]``, exposure and contrast.
    """

    noise: NDArray[np.int16]
    blur_sigma: float
    jpeg_quality: int
    curve: NDArray[np.uint8]

    def record(self, rng: np.random.Generator, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """One frame as this camera records it, uint8 ``[H, W, 3]``."""
        height, width = image.shape[:2]
        if self.blur_sigma > 0:
            image = np.asarray(cv2.GaussianBlur(image, (5, 5), self.blur_sigma), dtype=np.uint8)
        image = np.asarray(cv2.LUT(image, self.curve), dtype=np.uint8)
        top, left = rng.integers(0, _NOISE_MARGIN, 2).tolist()
        part = self.noise[top : top + height, left : left + width]
        image = np.asarray(cv2.add(image, part, dtype=cv2.CV_8U), dtype=np.uint8)
        if self.jpeg_quality:
            _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.jpeg_quality])
            image = np.asarray(cv2.imdecode(data, cv2.IMREAD_UNCHANGED), dtype=np.uint8)
        return image


def draw_camera(rng: np.random.Generator, spec: ClipSpec) -> Camera:
    """A camera from good to poor; without flaws when the clip is to be clean."""
    shape = (spec.height + _NOISE_MARGIN, spec.width + _NOISE_MARGIN, 3)
    strength = 0.0 if spec.clean else rng.uniform(0.5, 7.0)
    noise = rng.standard_normal(shape, dtype=np.float32) * strength
    level = np.arange(256) / 255.0
    exposed = np.clip(
        rng.uniform(0.8, 1.15) * level ** rng.uniform(0.8, 1.25) + rng.uniform(-0.03, 0.05), 0, 1
    )
    return Camera(
        noise=np.round(noise).astype(np.int16),
        blur_sigma=0.0 if spec.clean or rng.uniform() < 0.4 else rng.uniform(0.4, 1.2),
        jpeg_quality=0 if spec.clean or rng.uniform() < 0.75 else int(rng.integers(35, 85)),
        curve=np.asarray(np.round(255 * exposed), dtype=np.uint8),
    )
