"""The tracker with a detector that says what the test wants, and YuNet on real faces."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emorec_rt.errors import UsageError
from emorec_rt.faces import Box, Face, FaceCropper, FaceDetector, FaceTracker
from emorec_rt.media.types import Frame

GREY = np.full((240, 320, 3), 128, np.uint8)
LEFT, RIGHT = Box(40, 80, 60, 80), Box(220, 80, 60, 80)


class Script:
    """A detector that follows a script by call."""

    def __init__(self, faces: Callable[[int], list[Face]]) -> None:
        self.calls = 0
        self._faces = faces

    def detect(self, _pixels: np.ndarray) -> list[Face]:
        self.calls += 1
        return self._faces(self.calls - 1)

    def detect_near(self, pixels: np.ndarray, box: Box) -> list[Face]:
        """The whole picture is as good as the neighbourhood."""
        return self.detect(pixels)


def track(
    script: Script, seconds: float, rate_hz: float = 25.0, pixels: np.ndarray = GREY
) -> list[Face | None]:
    tracker = FaceTracker(script)
    return [tracker.update(Frame(k, k / rate_hz, pixels)) for k in range(round(seconds * rate_hz))]


def test_detection_runs_in_time_not_frames() -> None:
    for rate_hz in (10.0, 25.0, 60.0):
        script = Script(lambda _: [Face(LEFT, 0.9)])
        track(script, 4.0, rate_hz)
        assert 18 <= script.calls <= 22


def test_a_cut_is_searched_at_once() -> None:
    script = Script(lambda call: [Face((LEFT, RIGHT)[call], 0.9)])
    tracker = FaceTracker(script)
    tracker.update(Frame(0, 0.0, GREY))
    face = tracker.update(Frame(1, 0.04, np.zeros_like(GREY)))
    assert face is not None
    assert face.box == RIGHT


def test_the_main_face_stays_the_same_person() -> None:
    """The other face is larger from the second detection on, yet the first is kept."""
    larger = Box(200, 60, 100, 130)
    script = Script(lambda call: [Face(LEFT, 0.9), *([Face(larger, 0.95)] if call else [])])
    assert all(face is not None and face.box.iou(LEFT) > 0.9 for face in track(script, 3.0))


def test_a_short_miss_is_held_and_a_long_one_is_not() -> None:
    script = Script(lambda call: [] if call in {3, 10, 11, 12, 13} else [Face(LEFT, 0.9)])
    faces = track(script, 4.0)
    present = [face is not None for face in faces]
    assert all(present[:50])
    assert not all(present[50:75])
    assert present[-1]


def test_smoothing_does_not_depend_on_the_frame_rate() -> None:
    def moving(call: int) -> list[Face]:
        return [Face(LEFT.moved(10.0 * call, 0.0), 0.9)]

    late = [track(Script(moving), 1.2, rate)[round(1.12 * rate)] for rate in (25.0, 50.0)]
    lefts = [face.box.left for face in late if face is not None]
    assert abs(lefts[0] - lefts[1]) < 1.5


def test_a_wrong_model_file_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "broken.onnx").write_bytes(b"not a graph")
    for name in ("missing.onnx", "broken.onnx"):
        with pytest.raises(UsageError, match=name):
            FaceDetector(tmp_path / name)


def crops_of(path: Path) -> list[tuple[float, Box | None]]:
    cropper = FaceCropper()
    with av.open(str(path)) as container:
        frames = [
            Frame(k, float(f.pts * f.time_base), f.to_ndarray(format="rgb24"))
            for k, f in enumerate(container.decode(video=0))
        ]
    return [(frame.pts_seconds, cropper.process(frame).box) for frame in frames]


class TestRealFaces:
    @pytest.mark.parametrize("name", ["bbaf2n", "brbk7n", "lbax4n", "lrwp9a", "swiz3n"])
    def test_a_talking_head_has_a_steady_box(self, media_root: Path, name: str) -> None:
        boxes = [box for _, box in crops_of(media_root / "faces" / "grid" / f"{name}.mpg")]
        found = [box for box in boxes if box is not None]
        assert len(found) == len(boxes) == 75
        steps = [abs(b.center[0] - a.center[0]) / a.size for a, b in itertools.pairwise(found)]
        assert max(steps) < 0.05

    def test_a_face_that_leaves_is_lost(self, media_root: Path) -> None:
        rows = crops_of(media_root / "faces" / "pyfeat" / "face_noface.mov")
        assert all(box is not None for time, box in rows if time < 2.2)
        assert all(box is None for time, box in rows if time > 3.2)

    def test_a_cartoon_has_no_face(self, media_root: Path) -> None:
        assert not any(box for _, box in crops_of(media_root / "faces" / "pyfeat" / "no_face.mp4"))

    @pytest.mark.parametrize(
        ("name", "least"), [("angry.jpg", 1), ("surprised.jpeg", 1), ("sad-baby.jpeg", 1), ("group.jpeg", 2)]
    )
    def test_stills(self, media_root: Path, name: str, least: int) -> None:
        picture = cv2.imread(str(media_root / "labelled" / "pexels" / name))
        assert picture is not None
        assert len(FaceDetector().detect(np.asarray(picture[:, :, ::-1], np.uint8))) >= least

    def test_a_still_without_a_face(self, media_root: Path) -> None:
        picture = cv2.imread(str(media_root / "labelled" / "pexels" / "non_face.jpg"))
        assert picture is not None
        assert FaceDetector().detect(np.asarray(picture[:, :, ::-1], np.uint8)) == []
