"""What is refused: other files, addresses, playlists, and files that aren't media."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from emorec_rt.errors import MediaError
from emorec_rt.media import MediaLimits, open_media
from emorec_rt.media.container import LocalFile
from emorec_rt.media.tracks import choose_video


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        yield server


PLAYLISTS = {
    "list.ffconcat": "ffconcat version 1.0\nfile '{media}'\nfile 'http://127.0.0.1:{port}/a.mp4'\n",
    "list.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{media}\n"
    "#EXTINF:2,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "net.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nhttp://127.0.0.1:{port}/a.ts\n#EXT-X-ENDLIST\n",
    "list.sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video {port} RTP/AVP 96\n"
    "a=rtpmap:96 H264/90000\n",
    "list.mpd": '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period>'
    "<AdaptationSet><BaseURL>http://127.0.0.1:{port}/a.mp4</BaseURL></AdaptationSet></Period></MPD>",
    "notes.txt": "just some words " * 100,
}


@pytest.mark.parametrize("name", PLAYLISTS)
@pytest.mark.parametrize("suffix", ["", ".mp4"])
def test_a_playlist_opens_nothing(
    tmp_path: Path, write_clip: Callable[..., Path], listener: socket.socket, name: str, suffix: str
) -> None:
    media = write_clip("other.mp4", times=[0, 0.04])
    path = tmp_path / (name + suffix)
    path.write_text(PLAYLISTS[name].format(media=media.name, port=listener.getsockname()[1]))
    with pytest.raises(MediaError, match="not a media file of a known format"):
        open_media(path)
    with pytest.raises(TimeoutError):
        listener.accept()


def test_a_pattern_in_a_name_is_only_a_name(tmp_path: Path) -> None:
    (tmp_path / "frame001.png").write_bytes(b"not a picture")
    with pytest.raises(MediaError, match="no such file"):
        open_media(tmp_path / "frame%03d.png")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("http://127.0.0.1/a.mp4", "an address"),
        ("concat:/etc/hostname|/etc/hosts", "no such file|an address"),
        ("file:/etc/hostname", "an address"),
        ("nothing/here.mp4", "no such file"),
        ("/dev/zero", "a device or a pipe"),
        ("nul\0byte.mp4", "can't be read"),
        ("x" * 5000, "can't be read"),
        (".", "a folder"),
    ],
)
def test_not_a_local_file(source: str, reason: str) -> None:
    with pytest.raises(MediaError, match=reason) as caught:
        open_media(source)
    assert "\n" not in str(caught.value)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(MediaError, match="a device or a pipe"):
        open_media(tmp_path / "pipe.mp4")


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("empty.mp4", b"", "empty"),
        ("noise.mp4", bytes(range(256)) * 64, "not a media file of a known format"),
        ("raw.yuv", b"\x80" * 4096, "without a header"),
        (
            "cut.mp4",
            struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 0, b"isom") + b"\0" * 64,
            "index is missing",
        ),
    ],
)
def test_not_media(tmp_path: Path, name: str, data: bytes, reason: str) -> None:
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(MediaError, match=reason):
        list(open_media(path))


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(b"\0" * 100))
        + chunk(b"IEND", b"")
    )


def test_an_absurd_picture_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "huge.png"
    path.write_bytes(_png(60_000, 60_000))
    with pytest.raises(MediaError, match="over the limit"):
        list(open_media(path))


def test_the_limit_is_the_callers(write_clip: Callable[..., Path]) -> None:
    with pytest.raises(MediaError, match="over the limit of 100 pixels"):
        list(open_media(write_clip(times=[0]), limits=MediaLimits(max_pixels=100)))


@pytest.mark.parametrize(("less", "threads"), [(1, 3), (0, 1)])
def test_a_small_picture_may_be_left_to_one_thread(
    write_clip: Callable[..., Path], less: int, threads: int
) -> None:
    picture = np.zeros((48, 64, 3), np.uint8)
    with av.open(str(write_clip(times=[0], picture=picture))) as container:
        stream = choose_video(container, "clip", MediaLimits(), 3, picture[..., 0].size - less)
        assert stream is not None
        assert stream.codec_context.thread_count == threads


MEMORY_PROGRAM = """
import resource, sys
from emorec_rt.media import open_media
peaks = []
for path in sys.argv[1:]:
    with open_media(path, threads=2) as media:
        for item in media:
            pass
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
print(peaks[1] - peaks[0])
"""


def test_memory_does_not_grow_with_length(write_clip: Callable[..., Path]) -> None:
    def clip(name: str, seconds: int) -> Path:
        sound = [(0.0, np.zeros(8000 * seconds, np.float32))]
        return write_clip(name, times=np.arange(0, seconds, 0.04).tolist(), sound=sound, rate_hz=8000)

    short, long = clip("short.mkv", 4), clip("long.mkv", 120)
    run = subprocess.run(
        [sys.executable, "-c", MEMORY_PROGRAM, str(short), str(long)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stderr == ""
    # The long clip's frames are 55 MB, its sound 8 MB.
    assert int(run.stdout) < 8 * 1024


def test_a_disk_that_fails_in_the_middle_is_a_warning(
    write_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, 44_100 * 20).astype(np.float32)
    path = write_clip("clip.mkv", times=[k / 25 for k in range(500)], sound=[(0.0, noise)])
    fetch, left = LocalFile._fetch, [path.stat().st_size // 2]

    def failing(file: LocalFile, size: int) -> bytes:
        left[0] -= size
        if left[0] < 0:
            raise OSError(errno.EIO, "Input/output error")
        return fetch(file, size)

    monkeypatch.setattr(LocalFile, "_fetch", failing)
    with open_media(path) as media:
        items = list(media)
    assert len(items) > 100
    assert "reading stopped before the end of the file: Input/output error" in media.warnings
    assert capfd.readouterr() == ("", "")


def test_control_c_while_a_file_is_read_is_not_lost(
    write_clip: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = write_clip("clip.mkv", times=[0, 0.04])

    def interrupted(_file: LocalFile, _size: int) -> bytes:
        raise KeyboardInterrupt

    monkeypatch.setattr(LocalFile, "_fetch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        open_media(path)
    assert capfd.readouterr() == ("", "")


def test_tracks_in_other_files_are_refused_quietly(
    write_clip: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    """A QuickTime file whose tracks point to other files, as editors write them."""
    path = write_clip("clip.mov", times=[0, 0.04], sound=[(0.0, np.zeros(4410, np.float32))])
    data = path.read_bytes()
    inside = struct.pack(">I4sI", 12, b"url ", 1)
    assert data.count(inside) >= 2
    # Flags 0: not in this file. A box of the same size that has no place for a name names an empty one.
    path.write_bytes(data.replace(inside, struct.pack(">I4sI", 12, b"alis", 0)))
    with contextlib.suppress(MediaError), open_media(path) as media:
        list(media)
    assert capfd.readouterr() == ("", "")
