"""What becomes of a live source that is faster than the machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from types import TracebackType

import numpy as np
import pytest

from emorec_rt.faces import Crop, FaceCropper
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media import Frame, MediaItem, Samples
from emorec_rt.recognizer import crop_stream as intake
from emorec_rt.recognizer.crop_stream import CropStream
from emorec_rt.windows.pace import Pace

FRAMES = 120


class Camera:
    """Frames and sound, as fast as they are read."""

    name = "camera"
    has_video = True
    has_sound = True
    duration_seconds = None

    def __init__(self, *, live: bool) -> None:
        self.live = live
        self.warnings: list[str] = []
        self.all_read = threading.Event()
        self.closed = False

    def __enter__(self) -> Camera:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[MediaItem]:
        for k in range(FRAMES):
            yield Frame(k, k / 25, np.zeros((4, 4, 3), np.uint8))
            if k % 10 == 0:
                yield Samples(k / 25, np.zeros(6400, np.float32))
        self.all_read.set()

    def __next__(self) -> MediaItem:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


class SlowCropper(FaceCropper):
    """Looks at nothing until the camera has sent everything."""

    def __init__(self, camera: Camera) -> None:
        super().__init__("off")
        self._camera = camera

    def process(self, frame: Frame) -> Crop:  # noqa: ARG002 - it looks at nothing
        assert self._camera.all_read.wait(10.0)
        return Crop(None, None, 0.0)


def taken(camera: Camera, cropper: FaceCropper) -> tuple[list[CroppedFrame | Samples], tuple[str, ...]]:
    with CropStream(camera, cropper) as items:
        got = [item for item in items if item is not None]
    return got, tuple(line for line in items.warnings if "dropped" in line)


def test_the_oldest_frames_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    full = replace(intake._DROPPING, max_bytes=40 * 48)
    monkeypatch.setattr(intake, "_DROPPING", full)
    camera = Camera(live=True)
    got, warnings = taken(camera, SlowCropper(camera))
    numbers = [item.index for item in got if isinstance(item, CroppedFrame)]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == FRAMES - 1
    lost = FRAMES - len(numbers)
    assert lost > 0
    assert warnings[0] == f"{lost} frames were dropped: this machine is slower than the source"
    assert camera.closed


def test_a_burst_loses_nothing() -> None:
    camera = Camera(live=True)
    got, warnings = taken(camera, SlowCropper(camera))
    assert [item.index for item in got if isinstance(item, CroppedFrame)] == list(range(FRAMES))
    assert sum(isinstance(item, Samples) for item in got) == FRAMES // 10
    assert warnings == ()


def test_a_file_waits() -> None:
    camera = Camera(live=False)
    camera.all_read.set()
    got, warnings = taken(camera, SlowCropper(camera))
    assert len(got) == FRAMES + FRAMES // 10
    assert warnings == ()


def test_frames_are_counted_by_their_memory() -> None:
    assert intake._size_bytes(Frame(0, 0.0, np.zeros((1080, 1920, 3), np.uint8))) == 1080 * 1920 * 3
    assert intake.RAW_BYTES >= 1080 * 1920 * 3 * 40


def test_what_is_too_old_when_its_turn_comes_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "LONGEST_AGE_SECONDS", -1.0)
    monkeypatch.setattr(intake.Prefetch, "ended", False)
    camera = Camera(live=True)
    with CropStream(camera, SlowCropper(camera), Pace()) as items:
        assert [item for item in items if item is not None] == []
    assert f"{FRAMES} frames were dropped: this machine is slower than the source" in items.warnings
