"""Files that DALI decodes, beside PyAV's decoding of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from emorec_rt.errors import DecoderUnavailableError, MediaError
from emorec_rt.media import Frame, MediaItem, MediaLimits, MediaReader, Samples, open_media
from emorec_rt.media.dali import reader as reader_module
from emorec_rt.media.dali.eligible import judge
from emorec_rt.media.dali.library import dali_device, import_dali
from emorec_rt.media.dali.pipelines import ReaderPipeline, reason_of
from emorec_rt.media.dali.reader import DaliReader, _tell, open_dali
from emorec_rt.media.sources import SourceOptions, open_source

from .conftest import FRAMES, START_MS, Make

SAME_PICTURE = 2.0
"""Mean difference of a picture, of 255: the two convert colours with other roundings and chroma filters."""

SAME_TIME_SECONDS = 1e-3


def frames(items: Sequence[MediaItem]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt"),
    [("a.webm", "libvpx-vp9", "yuv420p"), ("b.webm", "libvpx", "yuv420p"), ("c.mkv", "mjpeg", "yuvj420p")],
)
@pytest.mark.usefixtures("dali")
def test_pictures_and_times_are_those_of_pyav(make_clip: Make, name: str, codec: str, pix_fmt: str) -> None:
    path = make_clip(name, codec, pix_fmt=pix_fmt)
    with open_dali(path) as source, open_media(path) as reference:
        assert isinstance(source, DaliReader)
        assert (source.live, source.has_video, source.has_sound) == (False, True, True)
        assert source.duration_seconds == reference.duration_seconds
        got, wanted = list(source), list(reference)
    assert [item.index for item in frames(got)] == list(range(FRAMES))
    assert len(frames(wanted)) == FRAMES
    for mine, theirs in zip(frames(got), frames(wanted), strict=True):
        assert mine.pts_seconds == pytest.approx(theirs.pts_seconds, abs=SAME_TIME_SECONDS)
        assert np.abs(mine.pixels.astype(int) - theirs.pixels).mean() < SAME_PICTURE
    assert frames(got)[0].pts_seconds == pytest.approx(START_MS / 1000, abs=0.02)
    blocks = [item for item in got if isinstance(item, Samples)]
    for block, same in zip(blocks, [i for i in wanted if isinstance(i, Samples)], strict=True):
        assert block.pts_seconds == same.pts_seconds
        np.testing.assert_array_equal(block.pcm, same.pcm)
    assert source.warnings == []


@pytest.mark.usefixtures("dali")
def test_a_clip_without_sound(make_clip: Make) -> None:
    with open_dali(make_clip("a.webm", "libvpx-vp9", sound=None)) as source:
        assert not source.has_sound
        assert len(list(source)) == FRAMES


@pytest.mark.usefixtures("dali")
def test_what_dali_cannot_decode_is_read_by_pyav(make_clip: Make, caplog: pytest.LogCaptureFixture) -> None:
    path = make_clip("a.mp4", "mpeg4", sound="aac")
    options = SourceOptions(decoder="dali")
    _tell.cache_clear()
    for _ in range(2):
        open_source(path, options).close()
    assert [record.message for record in caplog.records] == [
        f"PyAV decodes in DALI's place: DALI has no mpeg4 decoder for a {dali_device().upper()}"
    ]
    with open_source(path, options) as source, open_media(path) as reference:
        assert isinstance(source, MediaReader)
        assert [item.pts_seconds for item in source] == [item.pts_seconds for item in reference]


@pytest.mark.usefixtures("dali")
def test_sound_alone_is_read_by_pyav(tmp_path: Path, make_clip: Make) -> None:
    path = make_clip("a.webm", "libvpx-vp9")
    with open_media(path) as media:
        pcm = np.concatenate([item.pcm for item in media if isinstance(item, Samples)])
    import wave

    with wave.open(str(tmp_path / "a.wav"), "wb") as out:
        out.setparams((1, 2, 16_000, 0, "NONE", ""))
        out.writeframes((pcm * 32767).astype(np.int16).tobytes())
    with open_dali(tmp_path / "a.wav") as source:
        assert not source.has_video
        assert sum(len(item.pcm) for item in source if isinstance(item, Samples)) == len(pcm)


@pytest.mark.usefixtures("dali")
def test_where_dali_stops_pyav_goes_on(make_clip: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_clip("a.webm", "libvpx-vp9")
    with open_dali(path) as source:
        assert isinstance(source, DaliReader)
        read = source._pipeline.read
        reads: list[int] = []

        def failing() -> object:
            if reads:
                raise RuntimeError("Critical error\n[/opt/dali/video.cc:9] the decoder is lost\n")
            reads.append(1)
            return read()

        monkeypatch.setattr(source._pipeline, "read", failing)
        items = list(source)
    seen = frames(items)
    assert [frame.index for frame in seen] == list(range(FRAMES))
    assert (np.diff([frame.pts_seconds for frame in seen]) > 0).all()
    assert source.warnings == ["DALI stopped after 16 frames, PyAV goes on: the decoder is lost"]


@pytest.mark.usefixtures("dali")
def test_a_file_that_dali_refuses_is_read_by_pyav(make_clip: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(*_: object) -> ReaderPipeline:
        raise RuntimeError("no")

    monkeypatch.setattr(reader_module, "ReaderPipeline", refusing)
    with open_dali(make_clip("a.webm", "libvpx-vp9")) as source:
        assert isinstance(source, MediaReader)
        assert len(frames(list(source))) == FRAMES


@pytest.mark.usefixtures("dali")
def test_a_damaged_file_is_told_as_by_pyav(tmp_path: Path) -> None:
    (tmp_path / "a.webm").write_bytes(b"\x1a\x45\xdf\xa3" + bytes(1000))
    with pytest.raises(MediaError):
        open_dali(tmp_path / "a.webm")


@pytest.mark.usefixtures("dali")
def test_a_clip_that_was_cut_off_has_the_rows_of_pyav(make_clip: Make) -> None:
    path = make_clip("a.webm", "libvpx-vp9", sound=None)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with open_dali(path) as source, open_media(path) as reference:
        got, wanted = frames(list(source)), frames(list(reference))
    assert 5 < len(wanted) < FRAMES
    assert [f.pts_seconds for f in got] == pytest.approx([f.pts_seconds for f in wanted], abs=1e-3)


@pytest.mark.usefixtures("dali")
def test_pictures_out_of_order_are_left_to_pyav(make_clip: Make) -> None:
    with open_dali(make_clip("a.webm", "libvpx-vp9", sound=None)) as source:
        assert isinstance(source, DaliReader)
        source._pipeline.read()  # as if a batch were lost
        items = frames(list(source))
    assert [frame.index for frame in items] == list(range(FRAMES))
    assert source.warnings == ["DALI stopped after 0 frames, PyAV goes on: it gave picture 16 for 0"]


def test_only_what_becomes_the_same_pictures_is_taken(make_clip: Make) -> None:
    limits = MediaLimits()
    vp9 = make_clip("a.webm", "libvpx-vp9")
    assert judge(vp9, limits, "cpu").refusal is None
    with open_media(vp9) as media:
        wanted = [frame.pts_seconds for frame in frames(list(media))]
    assert judge(vp9, limits, "cpu").times_seconds.tolist() == pytest.approx(wanted, abs=1e-3)
    mp4 = make_clip("b.mp4", "mpeg4", sound=None)
    assert judge(mp4, limits, "cpu").refusal == "DALI has no mpeg4 decoder for a CPU"
    assert judge(mp4, limits, "gpu").refusal is None
    bt709 = make_clip("c.webm", "libvpx-vp9", colorspace=1)
    assert "BT.601" in str(judge(bt709, limits, "cpu").refusal)
    deep = make_clip("d.mkv", "ffv1", pix_fmt="yuv420p10le", sound=None)
    assert judge(deep, limits, "gpu").refusal == "DALI has no ffv1 decoder for a GPU"


def test_missing_dali_is_one_line(monkeypatch: pytest.MonkeyPatch, make_clip: Make) -> None:
    import_dali.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "nvidia.dali", None)
    with pytest.raises(DecoderUnavailableError) as caught:
        open_source(make_clip("a.webm", "libvpx-vp9"), SourceOptions(decoder="dali"))
    import_dali.cache_clear()
    assert str(caught.value) == (
        "decoder dali needs NVIDIA DALI, which is not installed; run: pip install 'emorec[dali]'"
    )


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        ("Critical\n\nencountered:\n\nthe GPU is full\nCurrent pipeline", "the GPU is full"),
        ("Critical\n[/opt/dali/a.cc:1] no such file\n[/opt/b.cc:2] later", "no such file"),
        ("plain", "plain"),
        ("", "no reason given"),
    ],
)
def test_a_report_of_many_lines_becomes_one(report: str, reason: str) -> None:
    assert reason_of(RuntimeError(report)) == reason
