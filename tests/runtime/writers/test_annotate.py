from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import MediaError, OutputError
from emorec_rt.media import MediaLimits, Samples, open_media
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, Target
from emorec_rt.writers.annotate import AnnotatedWriter
from emorec_rt.writers.source import start_seconds

from .conftest import leftovers, prediction, rows, target, write_all

EVEN = [0.04 * i for i in range(25)]
UNEVEN = [0.0, 0.04, 0.05, 0.2, 0.61, 0.62, 0.9, 1.4]
TICK_SECONDS = 1 / 90_000


def annotated(source: Path, out: Path, predictions: list[Prediction]) -> Path:
    write_all(FORMATS["mp4"].make(target(out, source)), predictions)
    return out


def pictures(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def sound_of(path: Path, seconds: float) -> np.ndarray:
    """16 kHz sound on a clock that starts with the container."""
    start, rate = start_seconds(path), 16_000
    pcm = np.zeros(round(seconds * rate), np.float32)
    with open_media(path, frames=False) as media:
        for block in media:
            assert isinstance(block, Samples)
            first = round((block.pts_seconds - start) * rate)
            kept = block.pcm[max(-first, 0) : max(len(pcm) - first, 0)]
            pcm[max(first, 0) : max(first, 0) + len(kept)] = kept
    return pcm


def assert_in_sync(before: np.ndarray, after: np.ndarray) -> None:
    """The same sound within a millisecond, which is how finely Matroska tells times."""
    size = 2 * len(before)
    product = np.fft.irfft(np.conj(np.fft.rfft(before, size)) * np.fft.rfft(after, size))
    peak = int(product.argmax())
    assert min(peak, size - peak) <= 16, peak
    assert product[peak] > 0.97 * np.linalg.norm(before) * np.linalg.norm(after)


@pytest.mark.parametrize("times", [EVEN, UNEVEN, [5.5 + t for t in UNEVEN], [0.0]], ids=str)
def test_every_frame_keeps_its_time(tmp_path: Path, clip, times: list[float]) -> None:
    source = clip("c.mkv", times)
    shown = pictures(annotated(source, tmp_path / "a.mp4", rows(times)))
    with open_media(source) as media:
        expected = [frame.pts_seconds - start_seconds(source) for frame in media]
    assert len(shown) == len(times)
    np.testing.assert_allclose([frame.time for frame in shown], expected, atol=TICK_SECONDS)


def test_the_last_frame_is_shown_as_long_as_the_others(tmp_path: Path, clip) -> None:
    out = annotated(clip("c.mkv", EVEN), tmp_path / "a.mp4", rows(EVEN))
    with av.open(str(out)) as container:
        stream = container.streams.video[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(1.0, abs=0.001)
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize(
    ("name", "codec", "expected"),
    [
        ("c.mp4", "aac", "aac"),
        ("c.ts", "aac", "aac"),
        ("c.mkv", "libmp3lame", "mp3"),
        ("c.mkv", "ac3", "ac3"),
        ("c.mkv", "libopus", "opus"),
        ("c.mkv", "flac", "flac"),
        ("c.mkv", "pcm_s16le", "aac"),
        ("c.avi", "mp2", "aac"),
    ],
)
@pytest.mark.parametrize("sound_at", [0.0, 0.7])
def test_sound_stays_in_sync(
    tmp_path: Path, clip, name: str, codec: str, expected: str, sound_at: float
) -> None:
    sound_at *= name != "c.avi"  # which has no late sound
    times = [0.04 * i for i in range(60)]
    rate = 48_000 if codec == "libopus" else 44_100
    source = clip(name, times, sound_codec=codec, sound_at=sound_at, sound_seconds=1.5, rate_hz=rate)
    out = annotated(source, tmp_path / "a.mp4", rows(times))
    with av.open(str(out)) as container:
        assert container.streams.audio[0].codec_context.name.startswith(expected)
    before, after = sound_of(source, 3.0), sound_of(out, 3.0)
    assert_in_sync(before, after)
    assert len(pictures(out)) == len(times)


def test_a_gap_in_sound_that_is_encoded_anew_stays_a_gap(tmp_path: Path, clip) -> None:
    source = clip("c.mkv", [0.04 * i for i in range(60)], sound_codec="pcm_s16le", sound_seconds=2.0)
    gapped = tmp_path / "gapped.mkv"
    with av.open(str(source)) as container, av.open(str(gapped), "w") as out:
        streams = {s.index: out.add_stream_from_template(s) for s in container.streams}
        for packet in container.demux():
            late = packet.stream.type == "audio" and packet.pts is not None and 0.5 < packet.pts / 1000 < 1.2
            if packet.size and not late:
                packet.stream = streams[packet.stream_index]
                out.mux(packet)
    before = sound_of(gapped, 3.0)
    assert not before[10_000:18_000].any()
    after = sound_of(annotated(gapped, tmp_path / "a.mp4", rows(EVEN)), 3.0)
    assert_in_sync(before, after)


class TestPicture:
    @pytest.mark.parametrize("size", [(64, 96), (121, 161), (361, 641), (16, 16), (700, 90)])
    def test_sides_are_even_and_large_enough_to_read(self, tmp_path: Path, clip, size) -> None:
        source = clip("c.mkv", [0.0], size=size)
        (shown,) = pictures(annotated(source, tmp_path / "a.mp4", rows([0.0])))
        assert shown.width % 2 == shown.height % 2 == 0
        scale = shown.width // size[1]
        assert min(size) * scale >= min(360, 8 * min(size))
        assert shown.height > size[0] * scale

    def test_box_label_and_bars_are_drawn_and_the_rest_is_left_alone(self, tmp_path: Path, clip) -> None:
        source = clip("c.mkv", [0.0], size=(400, 600))
        (plain,) = open_media(source)
        (shown,) = pictures(annotated(source, tmp_path / "a.mp4", rows([0.0])))
        pixels = shown.to_ndarray(format="rgb24").astype(int)
        yellow = np.array([240, 228, 66])
        box = pixels[10 + 20, 20]  # the left edge, half way down
        assert np.abs(box - yellow).max() < 60
        bars = pixels[400:]
        assert (np.abs(bars - yellow).max(axis=2) < 40).sum() > 300
        away = pixels[100:390, 200:590] - plain.pixels[100:390, 200:590].astype(int)
        assert np.abs(away).max() <= 4

    def test_frames_without_a_row_stay_bare(self, tmp_path: Path, clip) -> None:
        source = clip("c.mkv", EVEN)
        shown = pictures(annotated(source, tmp_path / "a.mp4", rows(EVEN[:10])))
        assert len(shown) == len(EVEN)
        assert shown[-1].to_ndarray(format="gray")[-20:].std() < 2

    def test_rows_find_their_frame_by_number(self, tmp_path: Path, clip) -> None:
        source = clip("c.mkv", EVEN)
        shown = pictures(annotated(source, tmp_path / "a.mp4", rows(EVEN)[5:]))
        drawn = [frame.to_ndarray(format="gray")[-60:].std() > 5 for frame in shown]
        assert drawn == [False] * 5 + [True] * 20


def test_sound_alone_is_refused_before_any_work(tmp_path: Path, clip) -> None:
    source = clip("c.wav", sound_codec="pcm_s16le")
    with pytest.raises(OutputError, match=r"c\.wav has no video to draw on"):
        FORMATS["mp4"].make(target(tmp_path / "a.mp4", source))
    assert not (tmp_path / "a.mp4").exists()
    assert leftovers(tmp_path) == []


def test_a_folder_of_pictures_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="is a folder of pictures"):
        FORMATS["mp4"].make(target(tmp_path / "a.mp4", tmp_path))
    assert leftovers(tmp_path) == []


def test_it_reads_within_the_limits_that_the_rows_were_made_with(tmp_path: Path, clip) -> None:
    source = clip("c.mkv", EVEN)
    small = replace(target(tmp_path / "a.mp4", source), limits=MediaLimits(max_pixels=16))
    writer = FORMATS["mp4"].make(small)
    with pytest.raises(MediaError, match="16"):
        writer.commit()
    writer.discard()
    assert leftovers(tmp_path) == []


def test_progress_reaches_the_end(tmp_path: Path, clip) -> None:
    writer = AnnotatedWriter(target(tmp_path / "a.mp4", clip("c.mkv", EVEN)))
    for row in rows(EVEN):
        writer.write(row)
    seen = list(writer.render())
    writer.commit()
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_an_input_that_vanishes_leaves_nothing(tmp_path: Path, clip) -> None:
    source = clip("c.mkv", EVEN)
    writer = FORMATS["mp4"].make(target(tmp_path / "a.mp4", source))
    writer.write(rows([0.0])[0])
    source.unlink()
    with pytest.raises(MediaError, match="no such file"):
        writer.commit()
    writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_real_media_keep_frames_and_sound(media_root: Path, tmp_path: Path) -> None:
    names = ("pyfeat/face_noface.mov", "androidx/sample.mkv", "androidx/sample_h264_mpeg_audio.ts")
    for source in (media_root / "faces" / name for name in names):
        with open_media(source, sound=False) as media:
            times = [frame.pts_seconds for frame in media]
        out = annotated(source, tmp_path / f"{source.stem}.mp4", rows(times))
        expected = np.array(times) - start_seconds(source)
        np.testing.assert_allclose([frame.time for frame in pictures(out)], expected, atol=0.001)
    assert_in_sync(
        sound_of(media_root / "faces" / names[0], 8.0), sound_of(tmp_path / "face_noface.mp4", 8.0)
    )


@pytest.mark.parametrize("codec", ["aac", "pcm_s16le"])
def test_a_part_is_a_short_video(tmp_path: Path, clip, codec: str) -> None:
    times = [0.04 * i for i in range(100)]
    source = clip("talk.mkv", times, sound_codec=codec, sound_seconds=4.0)
    path = tmp_path / "part.mp4"
    made = Target(source, path, EXPRESSIONS, part_seconds=(1.0, 2.0))
    write_all(FORMATS["mp4"].make(made), [prediction(i, times[i]) for i in range(25, 50)])
    with av.open(str(path)) as out:
        frames = list(out.decode(video=0))
        assert len(frames) == 25
        assert frames[0].time == pytest.approx(0.0, abs=0.01)
        sound = out.streams.audio[0]
        length = float(sound.duration * sound.time_base)
        assert length == pytest.approx(1.0, abs=0.1)
