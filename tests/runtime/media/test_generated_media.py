"""Pictures, times and sound of files whose content is known."""

from __future__ import annotations

import gc
import struct
import wave
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import MediaError, UsageError
from emorec_rt.media import Frame, MediaLimits, Samples, open_media
from emorec_rt.media.orientation import upright

ONE = 0x10000
PNG = b"\x89PNG\r\n\x1a\n"
CORNERS = {(0, 0): (255, 0, 0), (0, 1): (0, 255, 0), (1, 0): (0, 0, 255), (1, 1): (255, 255, 255)}
"""Colours of the stored picture's quarters, by row and column."""

ORIENTATIONS = {
    "as stored": ((1, 0, 0, 1), [(0, 0), (0, 1), (1, 0), (1, 1)]),
    "clockwise": ((0, 1, -1, 0), [(1, 0), (0, 0), (1, 1), (0, 1)]),
    "half turn": ((-1, 0, 0, -1), [(1, 1), (1, 0), (0, 1), (0, 0)]),
    "counter-clockwise": ((0, -1, 1, 0), [(0, 1), (1, 1), (0, 0), (1, 0)]),
    "mirrored": ((-1, 0, 0, 1), [(0, 1), (0, 0), (1, 1), (1, 0)]),
    "upside down": ((1, 0, 0, -1), [(1, 0), (1, 1), (0, 0), (0, 1)]),
}
"""Display matrix, and which stored quarter is seen top left, top right, bottom left, bottom right."""


def _sine(rate_hz: int, seconds: float, hz: float = 440.0, amplitude: float = 0.5) -> NDArray[np.float32]:
    phase = 2 * np.pi * hz * np.arange(round(rate_hz * seconds)) / rate_hz
    return (amplitude * np.sin(phase)).astype(np.float32)


def _frames(path: Path) -> list[Frame]:
    with open_media(path, sound=False) as media:
        return [item for item in media if isinstance(item, Frame)]


def _blocks(path: Path) -> list[Samples]:
    with open_media(path, frames=False) as media:
        return [item for item in media if isinstance(item, Samples)]


def _spans(blocks: list[Samples]) -> list[tuple[float, float]]:
    """Join blocks that follow each other; the runs' starts and ends in seconds."""
    spans: list[tuple[float, float]] = []
    for block in blocks:
        end = block.pts_seconds + len(block.pcm) / SAMPLE_RATE_HZ
        if spans and abs(block.pts_seconds - spans[-1][1]) < 1e-6:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((block.pts_seconds, end))
    return spans


@pytest.mark.parametrize("name", ORIENTATIONS)
def test_pictures_are_upright(write_clip: Callable[..., Path], name: str) -> None:
    (a, b, c, d), seen = ORIENTATIONS[name]
    matrix = [a * ONE, b * ONE, 0, c * ONE, d * ONE, 0, 0, 0, 1 << 30]
    pixels = _frames(write_clip("clip.mp4", times=[0, 0.04], matrix=matrix))[0].pixels
    height, width = pixels.shape[:2]
    assert (width > height) == (a != 0)
    places = [(y, x) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    for place, quarter in zip(places, seen, strict=True):
        assert np.abs(pixels[place].astype(int) - CORNERS[quarter]).max() < 24, (name, place)


@given(
    st.sampled_from([(1, 0, 0, 1), (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (0, 1, 1, 0)])
)
def test_upright_puts_points_where_the_matrix_says(matrix: tuple[int, int, int, int]) -> None:
    a, b, c, d = matrix
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    shown = upright(pixels, matrix)
    for y, x in np.ndindex(2, 4):
        to_x, to_y = a * x + c * y, b * x + d * y
        # A negative axis is shifted back into the picture.
        to_x += shown.shape[1] - 1 if min(a, c) < 0 else 0
        to_y += shown.shape[0] - 1 if min(b, d) < 0 else 0
        assert (shown[to_y, to_x] == pixels[y, x]).all()


def test_limited_and_full_range_white_is_white(write_clip: Callable[..., Path]) -> None:
    white = np.full((32, 32, 3), 255, np.uint8)
    assert _frames(write_clip(times=[0], picture=white))[0].pixels.min() >= 252


def test_variable_frame_times_are_the_containers(write_clip: Callable[..., Path]) -> None:
    times = [0.1, 0.14, 0.2, 0.45, 0.46, 1.7, 1.74]
    frames = _frames(write_clip(times=times))
    assert [frame.pts_seconds for frame in frames] == pytest.approx(times, abs=0.001)
    assert [frame.index for frame in frames] == list(range(len(times)))


def test_late_and_short_sound_keeps_its_place(write_clip: Callable[..., Path]) -> None:
    path = write_clip(times=np.arange(0, 3, 0.04).tolist(), sound=[(1.2, _sine(44_100, 0.8))])
    with open_media(path) as media:
        items = list(media)
    assert _spans([item for item in items if isinstance(item, Samples)]) == [
        (pytest.approx(1.2, abs=0.002), pytest.approx(2.0, abs=0.002))
    ]
    assert sum(isinstance(item, Frame) for item in items) == 75
    assert media.duration_seconds == pytest.approx(3.0, abs=0.1)
    assert media.fps_hint == pytest.approx(25)


def test_a_gap_in_the_sound_stays_a_gap(write_clip: Callable[..., Path]) -> None:
    path = write_clip(sound=[(0.0, _sine(44_100, 0.5)), (1.5, _sine(44_100, 0.5))])
    spans = _spans(_blocks(path))
    assert spans == [pytest.approx((0.0, 0.5), abs=0.003), pytest.approx((1.5, 2.0), abs=0.003)]


@pytest.mark.parametrize(
    ("codec", "name"), [("pcm_s16le", "clip.mkv"), ("aac", "clip.mp4"), ("flac", "clip.mkv")]
)
@pytest.mark.parametrize(("rate_hz", "channels"), [(44_100, 2), (48_000, 1), (16_000, 1), (48_000, 6)])
def test_a_sine_keeps_frequency_amplitude_and_place(
    write_clip: Callable[..., Path], codec: str, name: str, rate_hz: int, channels: int
) -> None:
    quiet = np.zeros(rate_hz, np.float32)
    pcm = np.concatenate([quiet, _sine(rate_hz, 1.0), quiet])
    path = write_clip(name, sound=[(0.0, pcm)], rate_hz=rate_hz, channels=channels, codec=codec)
    blocks = _blocks(path)
    assert len(_spans(blocks)) == 1
    heard = np.concatenate([block.pcm for block in blocks])
    times = blocks[0].pts_seconds + np.arange(len(heard)) / SAMPLE_RATE_HZ
    # Correlation with the sine itself: right only if rate, phase and start are.
    inside = (times >= 1.1) & (times <= 1.9)
    expected = 0.5 * np.sin(2 * np.pi * 440 * (times[inside] - 1.0))
    assert np.corrcoef(heard[inside], expected)[0, 1] > 0.98  # FFmpeg 7's AAC encoder
    assert heard[inside].std() == pytest.approx(0.5 / np.sqrt(2), rel=0.03)
    loud = times[np.abs(heard) > 0.1]
    assert loud[0] == pytest.approx(1.0, abs=0.005)
    assert loud[-1] == pytest.approx(2.0, abs=0.005)


def _write_wave(path: Path, samples: NDArray[np.int16], rate_hz: int) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.tobytes())


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 13, 16, 24, 64])
def test_any_number_of_channels_is_mixed_without_clipping(tmp_path: Path, channels: int) -> None:
    full = (_sine(16_000, 0.5, amplitude=1.0) * 32767).astype(np.int16)
    path = tmp_path / "many.wav"
    _write_wave(path, np.repeat(full[:, None], channels, axis=1), 16_000)
    heard = np.concatenate([block.pcm for block in _blocks(path)])
    assert heard == pytest.approx(full / 32768, abs=0.001)


def test_too_many_channels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "many.wav"
    _write_wave(path, np.zeros((100, 65), np.int16), 16_000)
    with pytest.raises(MediaError, match="can't be decoded"):
        open_media(path)


def test_nan_and_infinity_become_silence(tmp_path: Path) -> None:
    pcm = np.full((1, 8000), 0.25, np.float32)
    pcm[0, 1000:1100], pcm[0, 2000:2100] = np.nan, np.inf
    path = tmp_path / "nan.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_f32le", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(pcm, format="flt", layout="mono")
        frame.sample_rate = 16_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    heard = np.concatenate([block.pcm for block in _blocks(path)])
    assert (heard[1000:1100] == 0).all()
    assert (heard[2000:2100] == 0).all()
    assert (heard[3000:] == 0.25).all()


def test_a_picture_is_a_video_of_one_frame(tmp_path: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[:, :30, 2] = 255  # OpenCV writes BGR: red on the left
    for name in ("still.png", "still.jpg", "frame%03d.png"):
        cv2.imwrite(str(tmp_path / "still.png"), picture)
        path = tmp_path / name
        path.write_bytes(cv2.imencode(path.suffix, picture)[1].tobytes())
        frames = _frames(path)
        assert len(frames) == 1
        assert frames[0].pixels.shape == (40, 60, 3)
        assert frames[0].pixels[20, 10, 0] > 250
        assert frames[0].pixels[20, 10, 1:].max() < 5


def test_a_missing_track_is_told(write_clip: Callable[..., Path]) -> None:
    with pytest.raises(MediaError, match="no video"):
        open_media(write_clip(sound=[(0, _sine(44_100, 0.2))]), sound=False)
    with pytest.raises(MediaError, match="no sound"):
        open_media(write_clip(times=[0, 0.04]), frames=False)


def test_a_cover_picture_is_no_video(write_clip: Callable[..., Path]) -> None:
    cv2 = pytest.importorskip("cv2")
    path = write_clip("song.mp3", sound=[(0, _sine(44_100, 1.0))], codec="libmp3lame")
    cover = b"\0image/png\0\x03\0" + cv2.imencode(".png", np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    frame = struct.pack(">4sIH", b"APIC", len(cover), 0) + cover
    assert len(frame) < 128  # then the tag's size is one byte
    path.write_bytes(b"ID3\x03\0\0\0\0\0" + bytes([len(frame)]) + frame + path.read_bytes())
    with av.open(str(path)) as container:
        assert container.streams.video
    with open_media(path) as media:
        assert not media.has_video
        assert all(isinstance(item, Samples) for item in media)


def test_asking_for_nothing_is_a_usage_error(write_clip: Callable[..., Path]) -> None:
    with pytest.raises(UsageError):
        open_media(write_clip(times=[0]), frames=False, sound=False)


def _damage_pictures(path: Path, keep: int) -> None:
    head, *pictures = path.read_bytes().split(PNG)
    signed = ((PNG if index < keep else b"damaged!") + data for index, data in enumerate(pictures))
    path.write_bytes(head + b"".join(signed))


def test_damaged_pictures_are_skipped_and_counted(write_clip: Callable[..., Path]) -> None:
    times = np.arange(0, 2, 0.04).tolist()
    path = write_clip("clip.mov", times=times, sound=[(0, _sine(44_100, 2))], video_codec="png")
    _damage_pictures(path, keep=10)
    with open_media(path, threads=1) as media:  # threads lose count at the very end
        items = list(media)
    assert sum(isinstance(item, Frame) for item in items) == 10
    assert _spans([item for item in items if isinstance(item, Samples)])[0][1] == pytest.approx(2, abs=0.003)
    assert media.warnings == ["40 damaged packets of the video skipped"]


def test_a_file_that_stays_damaged_is_given_up(write_clip: Callable[..., Path]) -> None:
    path = write_clip("clip.mov", times=np.arange(0, 2, 0.04).tolist(), video_codec="png")
    _damage_pictures(path, keep=10)
    with open_media(path, limits=MediaLimits(max_damaged_in_a_row=15)) as media:
        assert len(list(media)) == 10
    assert media.warnings[0] == "reading stopped: the rest of the file is damaged"


def test_nothing_that_decodes_is_an_error(write_clip: Callable[..., Path]) -> None:
    path = write_clip("clip.mov", times=[0, 0.04, 0.08], video_codec="png")
    _damage_pictures(path, keep=0)
    with pytest.raises(MediaError, match="nothing of its video can be decoded"):
        list(open_media(path))


def test_closing_ends_the_iterator(write_clip: Callable[..., Path]) -> None:
    with open_media(write_clip(times=np.arange(0, 2, 0.04).tolist())) as media:
        next(media)
    assert list(media) == []


def test_pictures_leave_memory_without_the_cycle_collector(write_clip: Callable[..., Path]) -> None:
    path = write_clip(times=np.arange(0, 2, 0.04).tolist(), matrix=[0, ONE, 0, -ONE, 0, 0, 0, 0, 1 << 30])
    gc.collect()
    gc.disable()
    try:
        with open_media(path, sound=False) as media:
            assert sum(1 for _ in media) == 50
        kept = sum(isinstance(thing, av.VideoFrame) for thing in gc.get_objects())
    finally:
        gc.enable()
    assert kept <= 2


def test_tags_that_are_not_utf8_are_no_reason_to_refuse(write_clip: Callable[..., Path]) -> None:
    path = write_clip("clip.wav", sound=[(0, np.zeros(1024, np.float32))])
    data = path.read_bytes()
    tag = b"LIST" + struct.pack("<I", 16) + b"INFOINAM" + struct.pack("<I", 4) + b"caf\xe9"
    path.write_bytes(b"RIFF" + struct.pack("<I", len(data) + len(tag) - 8) + b"WAVE" + tag + data[12:])
    assert _blocks(path)
