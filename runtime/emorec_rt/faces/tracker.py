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

DETECT_EVERY_SECONDS: Final = 0.2 - 1e-3
"""A millisecond less than five a second: containers round frame times."""

HOLD_SECONDS: Final = 0.3
"""A face that a detection misses is kept this long."""

SMOOTHING_SECONDS: Final = 0.12
"""Time constant of the box's exponential smoothing."""

CUT_DIFFERENCE: Final = 30.0
"""Mean difference of the thumbnail, of 255, that is taken for a cut."""

SAME_FACE_IOU: Final = 0.2
THUMBNAIL: Final = (16, 16)


class FaceTracker:
    """Follow the main face of one input.

    The first face is chosen by size, confidence and nearness to the middle; afterwards the same person is
    kept until that face has been gone for ``HOLD_SECONDS``. Every constant is in seconds, so that the frame
    rate doesn't matter.

    Args:
        detector: May be shared between inputs of one thread.
    """

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector
        self._face: Face | None = None
        self._target: Box | None = None
        self._seen_seconds = -math.inf
        self._detected_seconds = -math.inf
        self._last_seconds = -math.inf
        self._thumbnail: NDArray[np.uint8] | None = None

    def update(self, frame: Frame) -> Face | None:
        """The main face at this frame, smoothed; ``None`` where there is none."""
        time = frame.pts_seconds
        cut = self._is_cut(frame.pixels)
        if cut:
            self._face = None
        if cut or not 0 <= time - self._detected_seconds < DETECT_EVERY_SECONDS:
            self._detect(frame)
        self._smooth(time - self._last_seconds)
        self._last_seconds = time
        return self._face

    def _is_cut(self, pixels: NDArray[np.uint8]) -> bool:
        """Whether the picture differs so much from the last that the box can't still be right."""
        thumbnail = np.asarray(cv2.resize(pixels, THUMBNAIL, interpolation=cv2.INTER_NEAREST), np.uint8)
        before, self._thumbnail = self._thumbnail, thumbnail
        return before is None or cv2.norm(before, thumbnail, cv2.NORM_L1) / thumbnail.size > CUT_DIFFERENCE

    def _detect(self, frame: Frame) -> None:
        self._detected_seconds = frame.pts_seconds
        faces: list[Face] = []
        if self._target is not None and self._face is not None:
            faces = self._detector.detect_near(frame.pixels, self._target)
        chosen = self._same(faces)
        if chosen is None:
            faces = self._detector.detect(frame.pixels)
            chosen = self._same(faces)
        held = frame.pts_seconds - self._seen_seconds <= HOLD_SECONDS
        if chosen is None and not (held and self._face is not None):
            chosen = _main(faces, frame.pixels.shape[1], frame.pixels.shape[0])
            self._face = chosen
        if chosen is not None:
            self._seen_seconds = frame.pts_seconds
            self._target = chosen.box
            self._face = Face(self._face.box if self._face else chosen.box, chosen.score)

    def _same(self, faces: list[Face]) -> Face | None:
        """The detection that continues the present face."""
        if self._face is None or self._target is None:
            return None
        target = self._target
        near = [face for face in faces if face.box.iou(target) >= SAME_FACE_IOU]
        return max(near, key=lambda face: face.box.iou(target), default=None)

    def _smooth(self, elapsed_seconds: float) -> None:
        if self._face is None or self._target is None:
            return
        share = 1.0 - math.exp(-max(elapsed_seconds, 0.0) / SMOOTHING_SECONDS)
        self._face = Face(_between(self._face.box, self._target, share), self._face.score)


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
