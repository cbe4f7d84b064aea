"""TCP and UDP senders on the loopback interface: they stop, come back, send nonsense, or nothing."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise

import pytest

from emorec_rt.errors import MediaError
from emorec_rt.media import Frame, MediaItem
from emorec_rt.media.sources import Source, SourceOptions, open_source
from senders import CLIP_SECONDS, FPS, PATIENT, QUICK, Sender, check_times, frames, sound

Start = Callable[..., Sender]


def test_a_stream_from_start_to_end(sender: Start, transport_stream: bytes) -> None:
    server = sender(lambda connection: connection.sendall(transport_stream))
    with open_source(f"tcp://127.0.0.1:{server.port}", QUICK) as source:
        assert (source.live, source.has_video, source.has_sound) == (True, True, True)
        items = list(source)
    check_times(items)
    assert len(frames(items)) == CLIP_SECONDS * FPS
    assert sum(len(block.pcm) for block in sound(items)) == pytest.approx(CLIP_SECONDS * 16_000, abs=1500)
    assert min(item.pts_seconds for item in items) == pytest.approx(0.0, abs=0.2)
    assert max(len(block.pcm) for block in sound(items)[:-1]) < 0.1 * 16_000  # sound doesn't wait for sound
    assert source.warnings == []


def test_a_sender_that_comes_back_with_a_new_clock(sender: Start, transport_stream: bytes) -> None:
    half = transport_stream[: len(transport_stream) // 2]
    server = sender(
        lambda connection: connection.sendall(half),
        lambda connection: connection.sendall(transport_stream),
        pause_seconds=0.3,
    )
    with open_source(f"tcp://127.0.0.1:{server.port}", PATIENT) as source:
        items = _until_lost(source, frames_wanted=60)
    check_times(items)
    times = [frame.pts_seconds for frame in frames(items)]
    steps = [after - before for before, after in pairwise(times)]
    gap = max(steps)
    assert 0.2 < gap < 5.0
    assert sorted(steps)[-2] == pytest.approx(1 / FPS, abs=0.01)
    assert [line for line in source.warnings if line.startswith("the connection was lost once; ")]


def test_a_sender_that_stays_away_ends_the_source(sender: Start, transport_stream: bytes) -> None:
    server = sender(lambda connection: connection.sendall(transport_stream))
    options = SourceOptions(reconnect_seconds=0.6)
    with open_source(f"tcp://127.0.0.1:{server.port}", options) as source:
        assert len(frames(list(source))) == CLIP_SECONDS * FPS
    assert source.warnings == ["the stream ended at 2.0 s: the sender closed the connection"]


@pytest.mark.parametrize("scheme", ["tcp", "http", "https", "rtsp"])
def test_a_refused_connection_is_one_line(free_port: int, scheme: str) -> None:
    with pytest.raises(MediaError) as caught:
        open_source(f"{scheme}://user:s3cret@127.0.0.1:{free_port}/", PATIENT)
    assert str(caught.value) == (
        f"{scheme}://***@127.0.0.1:{free_port}/: connection refused; nothing listens there"
    )
    assert caught.value.__suppress_context__


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it ended before anything came"),
        (b"nonsense " * 5000, "not media of a known format"),
        (bytes(200_000), "not media of a known format"),
        (b"#EXTM3U\n#EXTINF:4,\nhttp://127.0.0.1/a.ts\n", "playlists are not followed"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "not media of a known format"),
    ],
)
def test_nonsense_is_refused(sender: Start, data: bytes, reason: str) -> None:
    server = sender(lambda connection: connection.sendall(data))
    with pytest.raises(MediaError, match=reason):
        open_source(f"tcp://127.0.0.1:{server.port}", QUICK)


def test_nonsense_that_never_ends_is_given_up(sender: Start) -> None:
    def drip(connection: socket.socket) -> None:
        for _ in range(1000):
            connection.sendall(b"?")
            threading.Event().wait(0.02)

    server = sender(drip)
    with pytest.raises(MediaError, match="no known format in what came"):
        open_source(f"tcp://127.0.0.1:{server.port}", SourceOptions(open_seconds=0.5))


def test_a_silent_sender_is_given_up(sender: Start) -> None:
    server = sender(lambda connection: connection.recv(1))
    with pytest.raises(MediaError, match=r"nothing came for 0\.3 s"):
        open_source(f"tcp://127.0.0.1:{server.port}", SourceOptions(read_seconds=0.3))


def test_nonsense_in_the_middle_is_skipped(sender: Start, transport_stream: bytes) -> None:
    middle = len(transport_stream) // 2
    damaged = transport_stream[:middle] + b"\xff" * 3000 + transport_stream[middle:]
    server = sender(lambda connection: connection.sendall(damaged))
    with open_source(f"tcp://127.0.0.1:{server.port}", QUICK) as source:
        items = list(source)
    check_times(items)
    assert len(frames(items)) >= CLIP_SECONDS * FPS - 10


def test_a_silent_stream_closes_from_another_thread(sender: Start, transport_stream: bytes) -> None:
    server = sender(lambda connection: (connection.sendall(transport_stream), connection.recv(1)))
    options = SourceOptions(read_seconds=60.0)
    source = open_source(f"tcp://127.0.0.1:{server.port}", options)
    items: list[MediaItem] = []
    reader = threading.Thread(target=items.extend, args=(source,), daemon=True)
    reader.start()
    source.close()
    reader.join(10.0)
    assert not reader.is_alive()
    source.close()
    assert list(source) == []


def test_closing_ends_a_reconnection(sender: Start, transport_stream: bytes) -> None:
    server = sender(lambda connection: connection.sendall(transport_stream))
    source = open_source(f"tcp://127.0.0.1:{server.port}", SourceOptions(reconnect_seconds=600.0))
    drained = threading.Event()
    count = 0

    def read() -> None:
        nonlocal count
        for item in source:
            count += isinstance(item, Frame)
            if count == CLIP_SECONDS * FPS:
                drained.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    assert drained.wait(20.0)
    source.close()
    reader.join(10.0)
    assert not reader.is_alive()


@pytest.fixture
def datagrams(transport_stream: bytes, free_port: int) -> Iterator[int]:
    """A port of the loopback interface to which a clip is sent again and again."""
    stop = threading.Event()

    def send() -> None:
        with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as udp:
            while not stop.is_set():
                for start in range(0, len(transport_stream), 1316):
                    udp.sendto(transport_stream[start : start + 1316], ("127.0.0.1", free_port))
                    stop.wait(0.002)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    yield free_port
    stop.set()
    thread.join(5.0)


def test_datagrams(datagrams: int) -> None:
    with open_source(f"udp://127.0.0.1:{datagrams}", QUICK) as source:
        items = [item for _, item in zip(range(120), source, strict=False)]
    check_times(items)
    assert frames(items)
    assert sound(items)


def test_no_datagrams(free_port: int) -> None:
    with pytest.raises(MediaError, match=r"nothing came for 0\.3 s"):
        open_source(f"udp://127.0.0.1:{free_port}", SourceOptions(read_seconds=0.3))


def test_a_taken_port(free_port: int) -> None:
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as taken:
        taken.bind(("127.0.0.1", free_port))
        with pytest.raises(MediaError, match="in use"):
            open_source(f"udp://127.0.0.1:{free_port}", QUICK)


def _until_lost(source: Source, frames_wanted: int) -> list[MediaItem]:
    """Items until that many frames have come."""
    items: list[MediaItem] = []
    for item in source:
        items.append(item)
        if len(frames(items)) >= frames_wanted:
            break
    return items


def test_a_connection_that_is_reset_is_told_and_nothing_is_printed(
    sender: Start, transport_stream: bytes, capfd: pytest.CaptureFixture[str]
) -> None:
    def reset(connection: socket.socket) -> None:
        connection.sendall(transport_stream)
        threading.Event().wait(0.5)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    server = sender(reset)
    with open_source(f"tcp://127.0.0.1:{server.port}", QUICK) as source:
        items = list(source)
    assert len(frames(items)) >= CLIP_SECONDS * FPS - 5
    assert "connection reset by peer" in source.warnings[0]
    assert capfd.readouterr() == ("", "")
