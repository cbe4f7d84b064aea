"""Warnings about what an input lacks."""

from __future__ import annotations

import numpy as np

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.faces.crop import Crop
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.recognizer.presence import Presence

FACE = Crop(np.zeros((4, 4, 3), np.uint8), None, 0.9)
NO_FACE = Crop(None, None, 0.0)


def frame(seconds: float, crop: Crop = FACE) -> CroppedFrame:
    return CroppedFrame(round(seconds * 25), seconds, crop)


def block(seconds: float, height: float = 0.1) -> Samples:
    return Samples(seconds, np.full(SAMPLE_RATE_HZ // 4, height, np.float32))


def warnings(*items: CroppedFrame | Samples) -> tuple[str, ...]:
    presence = Presence()
    for item in items:
        presence.add(item)
    return presence.warnings


def test_faces_and_a_voice_are_no_warning() -> None:
    assert warnings(frame(0.0), block(0.0), frame(0.04, NO_FACE), block(0.25, 0.0)) == ()


def test_nothing_at_all_is_no_warning() -> None:
    assert warnings() == ()


def test_no_face_in_any_frame() -> None:
    (line,) = warnings(frame(0.0, NO_FACE), frame(0.04, NO_FACE), block(0.0))
    assert line == "no face in any of 2 frames: the picture plays no part in the rows"


def test_silent_sound() -> None:
    (line,) = warnings(frame(0.0), block(0.0, 0.0), block(0.25, 1e-5))
    assert "silent from beginning to end" in line


def test_sound_on_another_clock() -> None:
    (line,) = warnings(frame(0.0), frame(1.0), block(1.75e9))
    assert "never overlap (sound from 1750000000.0 to 1750000000.2 s, picture from 0.0 to 1.0 s)" in line


def test_a_picture_with_its_sound_beside() -> None:
    assert warnings(frame(0.0), block(0.4)) == ()
