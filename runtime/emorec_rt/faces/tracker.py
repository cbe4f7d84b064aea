"""One stable main face: detect now and then, follow and smooth in between. No look-ahead."""

from __future__ import annotations

import math
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.faces.box import Box, Face
from emorec_rt.faces.detector import FaceDetector
from emorec_rt.media.types import Frame

DETECT_EVERY_SECONDS: Final = 0.2
"""Time between detections of a face at rest, and of pictures without a face."""

UNSETTLED_EVERY_SECONDS: Final = 0.08
"""Time between detections while the face moves or is missing; halves the lag behind quick motion."""

ROUNDING_SECONDS: Final = 1e-3
"""Containers round frame times: a detection may come this much early."""

MOVING_SIZES_PER_SECOND: Final = 0.2
"""Speed above which a face counts as moving, in face sizes a second; a detector's noise stays below."""

HOLD_SECONDS: Final = 0.3
"""A face that a detection misses is kept this long."""

SMOOTHING_SECONDS: Final = 0.12
"""Time constant of the box's exponential smoothing."""

CUT_DIFFERENCE: Final = 30.0
"""Mean difference of the thumbnail, of 255, that is taken for a cut."""

SAME_FACE_IOU: Final = 0.2
SAMPLED: Final = (64, 64)
THUMBNAIL: Final = (16, 16)


class FaceTracker:
    """Follow the main face of one input.

    The first face is chosen by size, confidence and nearness to the middle; afterwards the same person is
    kept until that face has been gone for ``HOLD_SECONDS`` or the scene is cut. Every constant is in seconds,
    so that the frame rate doesn't matter.

    Args:
        detector: May be shared between inputs of one thread.
        every_seconds: Time between detections of a face at rest, and of pictures without a face.
    """

    def __init__(self, detector: FaceDetector, *, every_seconds: float = DETECT_EVERY_SECONDS) -> None:
        self._detector = detector
        self._every_seconds = every_seconds
        self._interval_seconds = every_seconds
        self._face: Face | None = None
        self._target: Box | None = None
        self._seen_seconds = -math.inf
        self._detected_seconds = -math.inf
        self._last_seconds = -math.inf
        self._cuts = CutDetector()

    def update(self, frame: Frame) -> Face | None:
        """The main face at this frame, smoothed; ``None`` where there is none."""
        time = frame.pts_seconds
        lost = False
        if self._cuts.is_cut(frame.pixels):
            lost, self._face = self._face is not None, None
            self._interval_seconds = self._unsettled_seconds
        if lost or not 0 <= time - self._detected_seconds < self._interval_seconds - ROUNDING_SECONDS:
            self._detect(frame)
        self._smooth(time - self._last_seconds)
        self._last_seconds = time
        return self._face

    @property
    def _unsettled_seconds(self) -> float:
        return min(UNSETTLED_EVERY_SECONDS, self._every_seconds)

    def _detect(self, frame: Frame) -> None:
        elapsed, self._detected_seconds = frame.pts_seconds - self._detected_seconds, frame.pts_seconds
        chosen, faces = self._search(frame.pixels)
        self._interval_seconds = self._next_interval(chosen, elapsed)
        held = frame.pts_seconds - self._seen_seconds <= HOLD_SECONDS
        if chosen is None and not (held and self._face is not None):
            chosen = _main(faces, frame.pixels.shape[1], frame.pixels.shape[0])
            self._face = chosen
        if chosen is not None:
            self._seen_seconds = frame.pts_seconds
            self._target = chosen.box
            self._face = Face(self._face.box if self._face else chosen.box, chosen.score)

    def _search(self, pixels: NDArray[np.uint8]) -> tuple[Face | None, list[Face]]:
        """The continuation of the present face, and what was found: nearby first, then everywhere."""
        if self._face is not None and self._target is not None:
            faces = self._detector.detect_near(pixels, self._target)
            if (chosen := self._same(faces)) is not None:
                return chosen, faces
        faces = self._detector.detect(pixels)
        return self._same(faces), faces

    def _next_interval(self, continued: Face | None, elapsed_seconds: float) -> float:
        """Time to the next detection: short where the present face moved or wasn't found."""
        if self._face is None or self._target is None:
            return self._every_seconds
        if continued is None:
            return self._unsettled_seconds
        moved_sizes = math.dist(continued.box.center, self._target.center) / max(self._target.size, 1.0)
        moving = moved_sizes > MOVING_SIZES_PER_SECOND * abs(elapsed_seconds)
        return self._unsettled_seconds if moving else self._every_seconds

    def _same(self, faces: list[Face]) -> Face | None:
        """The detection that continues the present face."""
        if self._face is None or self._target is None:
            return None
        target = self._target
        near = [face for face in faces if face.box.iou(target) >= SAME_FACE_IOU]
        return max(near, key=lambda face: face.box.iou(target), default=None)

    def _smooth(self, elapsed_seconds: float) -> None:
        if self._face is not None and self._target is not None:
            self._face = Face(smoothed(self._face.box, self._target, elapsed_seconds), self._face.score)


class CutDetector:
    """Tell cuts by a thumbnail of each picture; pictures come in their order."""

    def __init__(self) -> None:
        self._shape: tuple[int, ...] | None = None
        self._thumbnail: NDArray[np.uint8] | None = None

    def is_cut(self, pixels: NDArray[np.uint8]) -> bool:
        """Say whether a picture, uint8 ``[H, W, 3]``, differs too much from the last for a box to hold."""
        # Averaging a few samples for each cell keeps noise and moving texture from looking like a cut.
        sampled = cv2.resize(pixels, SAMPLED, interpolation=cv2.INTER_NEAREST)
        thumbnail = np.asarray(cv2.resize(sampled, THUMBNAIL, interpolation=cv2.INTER_AREA), np.uint8)
        before, self._thumbnail = self._thumbnail, thumbnail
        shape, self._shape = self._shape, pixels.shape
        if before is None or shape != pixels.shape:
            return True
        return cv2.norm(before, thumbnail, cv2.NORM_L1) / thumbnail.size > CUT_DIFFERENCE


def smoothed(box: Box, target: Box, elapsed_seconds: float) -> Box:
    """The box on its way to the target, after so much time."""
    return _between(box, target, 1.0 - math.exp(-max(elapsed_seconds, 0.0) / SMOOTHING_SECONDS))


def _main(faces: list[Face], width: int, height: int) -> Face | None:
    """The face that a person would call the main one: large, clear, central."""

    def weight(face: Face) -> float:
        x, y = face.box.center
        off_center = math.hypot(x / width - 0.5, y / height - 0.5)
        return face.box.size * face.score * (1.0 - 0.5 * min(off_center, 1.0))

    return max(faces, key=weight, default=None)


def _between(a: Box, b: Box, share: float) -> Box:
    def mix(x: float, y: float) -> float:
        return x + share * (y - x)

    return Box(mix(a.left, b.left), mix(a.top, b.top), mix(a.width, b.width), mix(a.height, b.height))
