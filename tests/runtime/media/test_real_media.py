"""Against PyAV's plain decode of real files, and no surprise on odd ones."""

from __future__ import annotations

import contextlib
from itertools import islice, pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import MediaError
from emorec_rt.media import Frame, MediaLimits, Samples, open_media

MILLISECOND = 0.001
MOST_ITEMS = 200
"""Of one file: the longest has ten thousand."""

HEADERLESS = ".yuv"


def _files(media_root: Path, folder: str) -> list[Path]:
    return sorted(path for path in (media_root / folder).rglob("*") if path.is_file())


def _plain_times(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        pts = [frame.pts for frame in container.decode(stream)]
        if None in pts:
            return [index / float(stream.average_rate) for index in range(len(pts))]
        return [float(value * stream.time_base) for value in pts]


def test_each_frame_of_each_face_video_comes_at_its_time(media_root: Path) -> None:
    for path in _files(media_root, "faces"):
        if path.suffix == HEADERLESS:
            continue
        with open_media(path, sound=False) as media:
            frames = [(item.index, item.pts_seconds) for item in media if isinstance(item, Frame)]
        plain = _plain_times(path)
        assert [index for index, _ in frames] == list(range(len(plain))), path
        assert np.abs(np.subtract([seconds for _, seconds in frames], plain)).max() < MILLISECOND, path
        assert media.warnings == [], path


def test_sound_of_face_videos_starts_and_ends_where_plain_decoding_says(media_root: Path) -> None:
    for path in _files(media_root, "faces"):
        if path.suffix == HEADERLESS:
            continue
        with av.open(str(path)) as container:
            if not container.streams.audio:
                continue
            heard = list(container.decode(container.streams.audio[0]))
        with open_media(path, frames=False) as media:
            blocks = [item for item in media if isinstance(item, Samples)]
        length = sum(frame.samples / frame.sample_rate for frame in heard)
        assert abs(blocks[0].pts_seconds - float(heard[0].pts * heard[0].time_base)) < MILLISECOND, path
        assert abs(sum(len(block.pcm) for block in blocks) / SAMPLE_RATE_HZ - length) < MILLISECOND, path


def test_odd_files_give_items_or_one_line(media_root: Path) -> None:
    for path in _files(media_root, "edge"):
        if path.stat().st_size == 0:
            with pytest.raises(MediaError, match="the file is empty"):
                open_media(path)
            continue
        with open_media(path) as media:
            items = list(islice(media, MOST_ITEMS))
        times = [item.pts_seconds for item in items if isinstance(item, Frame)]
        assert items, path
        assert all(later > earlier for earlier, later in pairwise(times)), path
        assert all(np.abs(item.pcm).max() <= 1 for item in items if isinstance(item, Samples)), path


@pytest.mark.parametrize(
    ("name", "frames", "has_sound", "size"),
    [
        ("androidx/sample_missing_stsd.mp4", 30, False, (720, 1080)),
        ("androidx/sample_empty_track.mp4", 30, True, (720, 1080)),
        ("androidx/sample_with_invalid_nalu.mp4", 29, False, (720, 1080)),
        ("androidx/sample_with_fake_auxiliary_tracks.mp4", 5, False, (12, 10)),
        ("androidx/portrait_4k60.mp4", 18, True, (3840, 2160)),
        ("androidx/dolbyVision-hdr.MOV", 4, True, (1280, 720)),
        ("torchcodec/nasa_13013.mp4", 390, True, (270, 480)),
        ("torchcodec/testsrc2_odd_height_and_width_mpeg2.mp4", 10, False, (81, 121)),
        ("moviepy/-video-with-dash-.mp4", 5, False, (1, 1)),
    ],
)
def test_odd_videos(media_root: Path, name: str, frames: int, has_sound: bool, size: tuple[int, int]) -> None:
    with open_media(media_root / "edge" / name) as media:
        shapes = [item.pixels.shape for item in media if isinstance(item, Frame)]
    assert shapes == [(*size, 3)] * frames
    assert media.has_sound == has_sound


def test_sound_that_cannot_be_decoded_is_told(media_root: Path) -> None:
    with open_media(media_root / "edge/androidx/sample_missing_stsd.mp4") as media:
        assert media.warnings == ["the sound (unknown) can't be decoded"]


def test_a_lying_duration_is_not_believed(media_root: Path) -> None:
    with open_media(media_root / "faces/androidx/sample_fragmented.mp4") as media:
        assert media.duration_seconds is None or media.duration_seconds < 2


def test_sound_whose_timestamps_are_no_clock_is_continued(media_root: Path) -> None:
    with open_media(media_root / "edge/androidx/sample-with-large-length.avi", frames=False) as media:
        blocks = [item for item in media if isinstance(item, Samples)]
    assert blocks[-1].pts_seconds + len(blocks[-1].pcm) / SAMPLE_RATE_HZ == pytest.approx(2.038, abs=0.01)


def test_rotated_video_looks_like_opencv_shows_it(media_root: Path) -> None:
    cv2 = pytest.importorskip("cv2")
    path = media_root / "edge/androidx/portrait_4k60.mp4"
    capture = cv2.VideoCapture(str(path))
    _, bgr = capture.read()
    capture.release()
    with open_media(path, sound=False) as media:
        frame = next(iter(media))
    assert isinstance(frame, Frame)
    difference = frame.pixels.astype(np.int16) - bgr[:, :, ::-1].astype(np.int16)
    assert np.abs(difference).mean() < 4


def test_a_cut_or_noisy_file_gives_what_decodes(media_root: Path, tmp_path: Path) -> None:
    data = bytearray((media_root / "edge/androidx/roadtrip-vp92-10bit.webm").read_bytes())
    rng = np.random.default_rng(7)
    for offset in rng.integers(len(data) // 4, len(data) - 200, 3):
        data[offset : offset + 100] = rng.bytes(100)
    path = tmp_path / "noisy.webm"
    path.write_bytes(data)
    counts = []
    for threads in (1, 8):
        with open_media(path, threads=threads) as media:
            counts.append(sum(1 for _ in media))
    assert counts[0] == counts[1] > 50  # decoding threads lose nothing at the end


def test_the_picture_limit_is_checked_on_opening(media_root: Path) -> None:
    path = media_root / "edge/androidx/portrait_4k60.mp4"
    with pytest.raises(MediaError, match="over the limit"):
        open_media(path, limits=MediaLimits(max_pixels=1920 * 1080))


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_damaged_vp9_keeps_a_row_for_each_picture(media_root: Path, tmp_path: Path, threads: int) -> None:
    data = bytearray((media_root / "edge/moviepy/no_duration.webm").read_bytes())
    for offset in range(len(data) // 4, len(data) - 2000, len(data) // 8):
        data[offset : offset + 300] = bytes(300)
    path = tmp_path / "damaged.webm"
    path.write_bytes(data)
    with open_media(path, sound=False, threads=threads) as media:
        ours = sum(1 for _ in media)
    assert ours == _decodable(path, "SLICE") > _decodable(path, "NONE")


def _decodable(path: Path, threads: str) -> int:
    """Pictures of all packets that PyAV decodes, one packet after the other."""
    count = 0
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = threads
        stream.codec_context.thread_count = 2  # on a single core FFmpeg would take one, whatever the type
        for packet in container.demux(stream):
            with contextlib.suppress(av.error.FFmpegError):
                count += len(stream.codec_context.decode(packet if packet.size else None))
    return count
