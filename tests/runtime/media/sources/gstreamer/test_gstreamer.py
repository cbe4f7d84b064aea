"""Files, test pictures and an RTSP server, read by the GStreamer of this machine."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from emorec_rt.errors import MediaError
from emorec_rt.media import Frame, MediaItem, MediaLimits, Samples, open_media
from emorec_rt.media.gstreamer.connection import _on_device
from emorec_rt.media.gstreamer.library import import_gstreamer
from emorec_rt.media.sources import SourceOptions, open_source
from rtsp_server import RtspServer
from senders import CLIP_SECONDS, FPS, Sender, check_times, clip_bytes, frames, sound

pytestmark = pytest.mark.usefixtures("gstreamer")

GSTREAMER = SourceOptions(decoder="gstreamer", open_seconds=60.0, read_seconds=2.0, reconnect_seconds=0.0)
SAME_PICTURE = 3.0
"""Mean difference, of 255: another chroma filter."""

START_MS = 480
DEMO = Path(__file__).parents[5] / "examples" / "demo.mp4"
Start = Callable[..., Sender]


@pytest.fixture
def late_clip(tmp_path: Path) -> Path:
    """Pictures that begin at ``START_MS``, not evenly, with sound."""
    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 66, 50, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound_ = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for k in range(40):
            pixels = np.full((50, 66, 3), 30 + 4 * k, np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = START_MS + 40 * k + 11 * (k % 3), Fraction(1, 1000)
            out.mux(video.encode(frame))
            level = np.full((1, 640), 1000 + k, np.int16)
            block = av.AudioFrame.from_ndarray(level, format="s16", layout="mono")
            block.sample_rate, block.pts, block.time_base = 16_000, 7680 + 640 * k, Fraction(1, 16_000)
            out.mux(sound_.encode(block))
        out.mux(video.encode(None))
    return path


def read(address: str | Path, options: SourceOptions = GSTREAMER) -> list[MediaItem]:
    with open_source(address, options) as source:
        return list(source)


def first_of(items: Sequence[MediaItem], kind: type[MediaItem]) -> MediaItem:
    return next(item for item in items if isinstance(item, kind))


def pcm(items: Sequence[MediaItem]) -> np.ndarray:
    return np.concatenate([block.pcm for block in sound(items)])


@pytest.mark.parametrize("which", ["demo", "late"])
def test_a_file_has_the_frames_times_and_sound_of_pyav(which: str, late_clip: Path) -> None:
    path = DEMO if which == "demo" else late_clip
    with open_media(path) as media:
        wanted = list(media)
        duration = media.duration_seconds
    with open_source(path, GSTREAMER) as source:
        assert (source.live, source.has_video, source.has_sound) == (False, True, True)
        assert source.duration_seconds == duration
        got = list(source)
        assert source.warnings == []
    assert [frame.index for frame in frames(got)] == list(range(len(frames(wanted))))
    for mine, theirs in zip(frames(got), frames(wanted), strict=True):
        assert mine.pts_seconds == pytest.approx(theirs.pts_seconds, abs=1e-3)
        assert mine.pixels.shape == theirs.pixels.shape
    pairs = list(zip(frames(got), frames(wanted), strict=True))[::10]
    assert max(np.abs(a.pixels.astype(int) - b.pixels).mean() for a, b in pairs) < SAME_PICTURE
    assert first_of(got, Samples).pts_seconds == pytest.approx(
        first_of(wanted, Samples).pts_seconds, abs=1e-3
    )
    mine, theirs = pcm(got), pcm(wanted)
    assert len(mine) == pytest.approx(len(theirs), abs=1100)  # the codec's last block
    length = min(len(mine), len(theirs))
    assert np.corrcoef(mine[:length], theirs[:length])[0, 1] > 0.99


def test_a_rotated_file_comes_upright(tmp_path: Path) -> None:
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        video.metadata["rotate"] = "90"
        for _ in range(5):
            out.mux(video.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96, 3), np.uint8), format="rgb24")))
        out.mux(video.encode(None))
    assert {frame.pixels.shape for frame in frames(read(path))} == {
        frame.pixels.shape for frame in frames(list(open_media(path)))
    }


def test_pictures_without_sound_and_sound_without_pictures(late_clip: Path, tmp_path: Path) -> None:
    for kind in ("video", "audio"):
        path = tmp_path / f"{kind}.mkv"
        with av.open(str(late_clip)) as reader, av.open(str(path), "w") as writer:
            track = next(stream for stream in reader.streams if stream.type == kind)
            copy = writer.add_stream_from_template(track)
            for packet in reader.demux(track):
                if packet.dts is not None:
                    packet.stream = copy
                    writer.mux(packet)
        with open_source(path, GSTREAMER) as source:
            assert (source.has_video, source.has_sound) == (kind == "video", kind == "audio")
            items = list(source)
        assert len(frames(items)) == (40 if kind == "video" else 0)
        assert bool(sound(items)) == (kind == "audio")


def test_what_points_elsewhere_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "list.mp4"
    path.write_text("#EXTM3U\n#EXTINF:4,\nhttp://127.0.0.1/a.ts\n")
    with pytest.raises(MediaError):
        open_source(path, GSTREAMER)


def test_too_large_a_picture_is_refused(late_clip: Path) -> None:
    limited = SourceOptions(decoder="gstreamer", limits=MediaLimits(max_pixels=1000))
    for address in (late_clip, "gst:videotestsrc num-buffers=3 ! video/x-raw,width=66,height=50"):
        with pytest.raises(MediaError, match="66x50 pixels, over the limit of 1000"):
            read(address, limited)


def test_a_damaged_file_ends_with_what_could_be_read(late_clip: Path) -> None:
    data = late_clip.read_bytes()
    late_clip.write_bytes(data[: len(data) // 2])
    items = read(late_clip)
    assert 5 < len(frames(items)) < 40


@pytest.mark.parametrize("picture_format", ["RGB", "BGRx", "NV12"])
def test_a_pipeline_of_ones_own(picture_format: str) -> None:
    caps = f"video/x-raw,format={picture_format},width=101,height=35,framerate=50/1"
    address = f"gst:videotestsrc num-buffers=30 pattern=red ! {caps}"
    with open_source(address, GSTREAMER) as source:
        assert (source.live, source.has_video, source.has_sound) == (True, True, False)
        items = list(source)
    seen = frames(items)
    assert len(seen) == 30
    np.testing.assert_allclose(np.diff([frame.pts_seconds for frame in seen]), 1 / 50, atol=1e-6)
    for frame in seen:
        assert frame.pixels.shape == (35, 101, 3)
        assert np.abs(frame.pixels.astype(int) - (255, 0, 0)).max() <= 4


def test_a_pipeline_with_its_own_sinks() -> None:
    address = (
        "gst:videotestsrc num-buffers=25 ! video/x-raw,format=RGB,width=64,height=48,framerate=25/1 ! "
        "appsink name=video sync=false audiotestsrc num-buffers=16 samplesperbuffer=1000 ! "
        "audio/x-raw,format=F32LE,rate=16000,channels=1 ! appsink name=sound sync=false"
    )
    items = read(address)
    assert len(frames(items)) == 25
    assert len(pcm(items)) == 16_000


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("gst:nosuchelement ! fakesink", 'has no element "nosuchelement"; sudo apt-get install'),
        ("csi://0", "nvarguscamerasrc"),
        (
            "gst:videotestsrc ! audio/x-raw",
            "can't build its pipeline|could not link",
        ),
        ("gst:filesrc location=/nonexistent user-pw=s3cret", r"gst:.*\*\*\*"),
    ],
)
def test_a_pipeline_that_does_not_work_is_one_line(address: str, reason: str) -> None:
    if "csi" in address and import_gstreamer().hardware:
        pytest.skip("this is a Jetson")
    with pytest.raises(MediaError, match=reason) as caught, open_source(address, GSTREAMER) as source:
        list(source)
    assert "s3cret" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_endless_pipeline_closes_from_another_thread() -> None:
    source = open_source("gst:videotestsrc is-live=true ! video/x-raw,width=64,height=48", GSTREAMER)
    came = threading.Event()

    def consume() -> None:
        for _ in source:
            came.set()

    reader = threading.Thread(target=consume, daemon=True)
    reader.start()
    assert came.wait(20.0)
    source.close()
    reader.join(10.0)
    assert not reader.is_alive()


def test_a_pipeline_that_falls_silent_is_given_up() -> None:
    quiet = SourceOptions(read_seconds=0.3, open_seconds=10.0, reconnect_seconds=0.0)
    address = "gst:videotestsrc ! video/x-raw,width=64,height=48 ! identity eos-after=20 ! valve drop=false"
    with open_source(address, quiet) as source:
        assert frames(list(source))
    with pytest.raises(MediaError, match=r"nothing came for 0\.5 s"):
        open_source("gst:videotestsrc ! valve drop=true", SourceOptions(open_seconds=0.5))


def test_rtsp(sender: Start, transport_stream: bytes) -> None:
    server = sender(RtspServer(transport_stream, live=True))
    with open_source(f"rtsp://127.0.0.1:{server.port}/live", GSTREAMER) as source:
        assert (source.live, source.has_video, source.has_sound) == (True, True, True)
        items = list(source)
    check_times(items)
    seen = frames(items)
    assert len(seen) >= CLIP_SECONDS * FPS - 8
    assert seen[-1].pts_seconds - seen[0].pts_seconds == pytest.approx((len(seen) - 1) / FPS, abs=0.15)
    assert len(pcm(items)) > 16_000
    # GStreamer tells a sender's farewell as either, whichever of its threads is the first to see it.
    ended = r"the stream ended at [12]\.\d s: (the sender ended the stream|could not read from resource)"
    assert re.match(ended, *source.warnings)


def test_an_rtsp_server_with_a_password_comes_back(sender: Start, transport_stream: bytes) -> None:
    first, second = (RtspServer(transport_stream, live=True, login=True) for _ in range(2))
    server = sender(first, second, pause_seconds=0.2)
    options = SourceOptions(decoder="gstreamer", read_seconds=1.0, reconnect_seconds=8.0)
    items = []
    with open_source(f"rtsp://admin:s3cret@127.0.0.1:{server.port}/live", options) as source:
        assert source.name == f"rtsp://***@127.0.0.1:{server.port}/live"
        for item in source:
            items.append(item)
            if len(frames(items)) > CLIP_SECONDS * FPS:
                break
    check_times(items)
    assert len(frames(items)) > CLIP_SECONDS * FPS
    assert [line for line in source.warnings if line.startswith("the connection was lost once; ")]


def test_a_wrong_password(sender: Start, transport_stream: bytes) -> None:
    server = sender(RtspServer(transport_stream, login=True))
    with pytest.raises(MediaError, match=r"user or password \(401\)") as caught:
        open_source(f"rtsp://admin:wr0ng@127.0.0.1:{server.port}/live", GSTREAMER)
    assert "wr0ng" not in str(caught.value)


def test_a_refused_rtsp_connection(free_port: int) -> None:
    with pytest.raises(MediaError) as caught:
        open_source(f"rtsp://user:s3cret@127.0.0.1:{free_port}/", GSTREAMER)
    assert (
        str(caught.value) == f"rtsp://***@127.0.0.1:{free_port}/: connection refused; nothing listens there"
    )


def test_the_command_gives_rows_and_ends_on_a_signal(environment: dict[str, str]) -> None:
    address = "gst:videotestsrc is-live=true ! video/x-raw,width=320,height=240,framerate=25/1"
    command = [sys.executable, "-c", "from emorec_rt.cli import main; main()", address, "--out", "-"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        early = [process.stdout.readline() for _ in range(40)]
        process.send_signal(signal.SIGTERM)
        late, err = process.stdout.read(), process.stderr.read()
        process.wait(60)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    rows = [json.loads(line) for line in [*early, *late.splitlines()]]
    assert [row["frame"] for row in rows] == sorted({row["frame"] for row in rows})


def test_a_clip_of_the_senders_is_read_alike(tmp_path: Path) -> None:
    path = tmp_path / "clip.ts"
    path.write_bytes(clip_bytes())
    with open_media(path) as media:
        wanted = [item for item in media if isinstance(item, Frame)]
    got = frames(read(path))
    assert [f.pts_seconds for f in got] == pytest.approx([f.pts_seconds for f in wanted], abs=1e-3)


@pytest.mark.parametrize(
    ("caps", "there"),
    [
        ("video/x-raw(memory:NVMM),format=NV12,width=64,height=48", True),
        ("video/x-raw,format=Y42B,width=64,height=48", False),
    ],
)
def test_a_jetsons_converter_gets_the_pictures_that_it_alone_reads(caps: str, there: bool) -> None:
    assert _on_device(import_gstreamer().gst.Caps.from_string(caps)) is there


def test_a_jetson_reads_what_software_decodes(late_clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of which the module's own decoder takes nothing: no element of NVIDIA's is in the pipeline."""
    jetson = replace(import_gstreamer(), hardware=True)
    monkeypatch.setattr("emorec_rt.media.gstreamer.opening.import_gstreamer", lambda: jetson)
    assert len(frames(read(late_clip))) == 40
