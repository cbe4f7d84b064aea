"""Pictures and times of frames, read quickly: the same as the runtime's own way."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from emorec_rt.media import Frame, open_media
from emorec_train.data.datasets import clip_items
from emorec_train.data.datasets.clip_items import read_picture
from emorec_train.data.datasets.frame_times import demuxed_times
from layouts import write_pictures, write_video, write_wave


def decoded_times(path: Path) -> list[float]:
    with open_media(path, sound=False, threads=1) as media:
        return [item.pts_seconds for item in media if isinstance(item, Frame)]


def write_frames(path: Path, pts: list[int], codec: str = "libx264", **options: str) -> Path:
    """A video whose frames lie at these times, in hundredths of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, 25, options=options)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.time_base = stream.codec_context.time_base = Fraction(1, 100)
        for number, time in enumerate(pts):
            pixels = np.full((64, 64, 3), 5 * number % 256, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 100)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("b_frames", ["0", "3"])
def test_packets_tell_the_times_of_the_frames(suffix: str, b_frames: str, tmp_path: Path) -> None:
    pts = np.cumsum([50, *np.random.default_rng(0).integers(2, 30, 60)]).tolist()  # late, and uneven
    path = write_frames(tmp_path / f"uneven.{suffix}", pts, bf=b_frames)
    known = demuxed_times(path)
    assert known is not None
    assert known.seconds.tolist() == decoded_times(path)
    assert not known.has_sound


def test_other_files_are_decoded(tmp_path: Path) -> None:
    assert demuxed_times(write_frames(tmp_path / "packed.avi", [4, 8, 12], "mpeg4")) is None
    assert demuxed_times(write_wave(tmp_path / "sound.wav", 0)) is None
    assert demuxed_times(tmp_path / "absent.mp4") is None
    (tmp_path / "text.mp4").write_text("not a video")
    assert demuxed_times(tmp_path / "text.mp4") is None


def test_a_video_with_sound_says_so(tmp_path: Path) -> None:
    path = write_video(tmp_path / "talk.mp4", 0)
    known = demuxed_times(path)
    assert known is not None
    assert known.has_sound
    assert known.seconds.tolist() == decoded_times(path)


def test_real_files(media_root: Path) -> None:
    small = (path for path in sorted(media_root.rglob("*.mp4")) if path.stat().st_size < 300_000)
    told = 0
    for path in list(small)[:40]:
        known = demuxed_times(path)
        if known is None:
            continue
        with open_media(path, sound=False, threads=1) as media:
            times = [item.pts_seconds for item in media if isinstance(item, Frame)]
        if media.warnings:  # a damaged frame is lost to the decoder, and still has its number and time
            assert len(times) <= len(known.seconds)
            continue
        told += 1
        np.testing.assert_array_equal(known.seconds, times, err_msg=str(path))
    assert told >= 5


def test_a_picture_is_what_the_runtime_decodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (write_pictures(tmp_path, [1], 0) / "00002.jpg").write_bytes(b"not a picture")
    with open_media(tmp_path / "00001.jpg", sound=False) as media:
        expected = next(item.pixels for item in media if isinstance(item, Frame))
    whole = (tmp_path / "00001.jpg").read_bytes()
    (tmp_path / "00003.jpg").write_bytes(whole[: len(whole) // 2])
    half = read_picture(tmp_path / "00003.jpg")
    with monkeypatch.context() as only:
        only.setattr(clip_items, "open_media", None)  # it isn't asked for a whole picture
        pixels = read_picture(tmp_path / "00001.jpg")
    assert pixels is not None
    difference = np.abs(pixels.astype(int) - expected)
    assert difference.mean() < 3.0  # edges of bright colours are filled in differently; 0.35 on photographs
    assert read_picture(tmp_path / "00002.jpg") is None
    assert half is None or half.shape == pixels.shape
    assert read_picture(tmp_path / "absent.jpg") is None


def test_colours_are_in_order(tmp_path: Path) -> None:
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 2] = 255  # OpenCV's order is blue, green, red
    cv2.imwrite(str(tmp_path / "red.jpg"), red)
    pixels = read_picture(tmp_path / "red.jpg")
    assert pixels is not None
    assert pixels[8, 8, 0] > 240
    assert pixels[8, 8, 2] < 16
