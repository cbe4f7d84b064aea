"""Which of several tracks is taken, and what is told of the others."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.errors import MediaError, UsageError
from emorec_rt.media import Frame, Samples, open_media
from emorec_rt.media.sources import SourceOptions
from emorec_rt.media.tracks import BEST, Tracks

FPS = 25
RATE_HZ = 16_000
SECONDS = 2
SILENCE = np.zeros(RATE_HZ * SECONDS, np.float32)
VOICE = (0.3 * np.sin(np.arange(RATE_HZ * SECONDS) / 10)).astype(np.float32)


def write(
    path: Path,
    sounds: Sequence[NDArray[np.float32]] = (),
    videos: Sequence[tuple[int, int]] = ((SECONDS * FPS, 64),),
) -> Path:
    """A file of several tracks: samples of each sound, and count and width of each video's pictures."""
    with av.open(str(path), "w") as container:
        pictures = []
        for _, width in videos:
            stream = container.add_stream("mpeg4", rate=FPS)
            stream.width, stream.height, stream.pix_fmt = width, 48, "yuv420p"
            pictures.append(stream)
        voices = [container.add_stream("pcm_s16le", rate=RATE_HZ, layout="mono") for _ in sounds]
        for stream, (count, width) in zip(pictures, videos, strict=True):
            for number in range(count):
                frame = av.VideoFrame.from_ndarray(np.zeros((48, width, 3), np.uint8), format="rgb24")
                frame.pts, frame.time_base = number, Fraction(1, FPS)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        for stream, pcm in zip(voices, sounds, strict=True):
            block = av.AudioFrame.from_ndarray((pcm * 32767).astype(np.int16)[None], "s16", "mono")
            block.sample_rate, block.pts = RATE_HZ, 0
            container.mux(stream.encode(block))
            container.mux(stream.encode(None))
    return path


def read(path: Path, tracks: Tracks = BEST) -> tuple[list[Frame], NDArray[np.float32], list[str]]:
    with open_media(path, tracks=tracks) as media:
        items = list(media)
    blocks = [item.pcm for item in items if isinstance(item, Samples)]
    frames = [item for item in items if isinstance(item, Frame)]
    return frames, np.concatenate([SILENCE[:0], *blocks]), media.warnings


def test_a_silent_first_track_does_not_hide_the_voice(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mkv", [SILENCE, VOICE])
    _, heard, warnings = read(path)
    assert np.abs(heard).max() > 0.2
    assert warnings == ["the sound is track 2 of 2; --audio-track takes another"]


def test_of_two_voices_the_first_is_taken(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mkv", [VOICE, 0.5 * VOICE])
    _, heard, warnings = read(path)
    assert np.abs(heard).max() == pytest.approx(0.3, abs=0.01)
    assert warnings == ["the sound is track 1 of 2; --audio-track takes another"]


@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_sound_track_can_be_chosen(tmp_path: Path, number: int) -> None:
    path = write(tmp_path / "clip.mkv", [SILENCE, VOICE, 0.5 * VOICE])
    _, heard, _ = read(path, Tracks(audio=number))
    assert np.abs(heard).max(initial=0.0) == pytest.approx((0.0, 0.3, 0.15)[number - 1], abs=0.01)


def test_a_track_of_a_few_pictures_is_no_match_for_a_film(tmp_path: Path) -> None:
    path = write(tmp_path / "clip.mkv", videos=[(2, 128), (SECONDS * FPS, 64)])
    frames, _, warnings = read(path)
    assert len(frames) == SECONDS * FPS
    assert warnings == ["the video is track 2 of 2; --video-track takes another"]
    assert len(read(path, Tracks(video=1))[0]) == 2


def test_one_track_of_each_kind_is_no_warning(tmp_path: Path) -> None:
    assert read(write(tmp_path / "clip.mkv", [VOICE]))[2] == []


def test_a_voice_that_begins_late_is_found(tmp_path: Path) -> None:
    late = np.concatenate([np.tile(SILENCE, 35), VOICE, np.tile(SILENCE, 5), VOICE, np.tile(SILENCE, 30)])
    path = write(tmp_path / "clip.mkv", [np.zeros_like(late), late], videos=[])
    _, heard, _ = read(path)
    assert np.abs(heard).max() > 0.2


@pytest.mark.parametrize(
    ("tracks", "reason"),
    [
        (Tracks(audio=2), "there is no sound track 2; there is 1"),
        (Tracks(video=3), "there is no video track 3; there is 1"),
    ],
)
def test_a_track_that_is_not_there_is_one_line(tmp_path: Path, tracks: Tracks, reason: str) -> None:
    with pytest.raises(MediaError, match=reason):
        open_media(write(tmp_path / "clip.mkv", [VOICE]), tracks=tracks)


@pytest.mark.parametrize("wrong", [{"audio_track": 0}, {"video_track": -1}])
def test_tracks_are_counted_from_one(wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="counted from 1"):
        SourceOptions(**wrong)
