"""RTSP servers that send, ask for a password, fall silent, come back, or are none."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable

import numpy as np
import pytest

from emorec_rt.errors import MediaError
from emorec_rt.media.sources import SourceOptions, open_source
from rtsp_server import RtspServer, interleaved
from senders import CLIP_SECONDS, FPS, Sender, check_times, frames, sound

OPTIONS = SourceOptions(open_seconds=5.0, read_seconds=1.0, reconnect_seconds=0.0)

Start = Callable[..., Sender]


def test_frames_and_sound(sender: Start, transport_stream: bytes) -> None:
    server = sender(RtspServer(transport_stream))
    with open_source(f"rtsp://127.0.0.1:{server.port}/live", OPTIONS) as source:
        assert (source.live, source.has_video, source.has_sound) == (True, True, True)
        items = list(source)
    check_times(items)
    assert len(frames(items)) >= CLIP_SECONDS * FPS - 3
    assert sum(len(block.pcm) for block in sound(items)) > 16_000


def test_a_server_that_asks_for_a_password(sender: Start, transport_stream: bytes) -> None:
    server = sender(RtspServer(transport_stream, login=True))
    with open_source(f"rtsp://admin:s3cret@127.0.0.1:{server.port}/live", OPTIONS) as source:
        assert source.name == f"rtsp://***@127.0.0.1:{server.port}/live"
        assert frames(list(source))


def test_a_wrong_password_is_told_and_not_shown(sender: Start, transport_stream: bytes) -> None:
    server = sender(RtspServer(transport_stream, login=True))
    with pytest.raises(MediaError, match=r"user or password \(401\)") as caught:
        open_source(f"rtsp://admin:wr0ng@127.0.0.1:{server.port}/live", OPTIONS)
    assert "wr0ng" not in str(caught.value)


def test_a_server_that_falls_silent(sender: Start, transport_stream: bytes) -> None:
    server = sender(RtspServer(transport_stream, silent=True))
    with open_source(f"rtsp://127.0.0.1:{server.port}/live", OPTIONS) as source:
        assert len(frames(list(source))) >= CLIP_SECONDS * FPS - 3
    assert [line for line in source.warnings if "the stream ended" in line]


def test_a_server_that_comes_back(sender: Start, transport_stream: bytes) -> None:
    server = sender(RtspServer(transport_stream), RtspServer(transport_stream), pause_seconds=0.2)
    options = SourceOptions(open_seconds=5.0, read_seconds=1.0, reconnect_seconds=8.0)
    items = []
    with open_source(f"rtsp://127.0.0.1:{server.port}/live", options) as source:
        for item in source:
            items.append(item)
            if len(frames(items)) > CLIP_SECONDS * FPS:
                break
    assert len(frames(items)) > CLIP_SECONDS * FPS
    check_times(items)


def test_not_an_rtsp_server(sender: Start) -> None:
    server = sender(lambda connection: connection.sendall(b"SSH-2.0-x\r\n" * 10))
    with pytest.raises(MediaError):
        open_source(f"rtsp://127.0.0.1:{server.port}/live", OPTIONS)


def test_a_stream_that_the_server_does_not_have(sender: Start) -> None:
    def missing(connection: socket.socket) -> None:
        requests = connection.makefile("rb")
        while request := requests.readline():
            if request.startswith(b"CSeq"):
                number = request.split()[1]
                connection.sendall(b"RTSP/1.0 404 Not Found\r\nCSeq: " + number + b"\r\n\r\n")

    server = sender(missing)
    with pytest.raises(MediaError, match="404") as caught:
        open_source(f"rtsp://admin:s3cret@127.0.0.1:{server.port}/nothing", OPTIONS)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("channel", [0, 1, 77])
def test_garbage_between_packets_is_skipped(
    sender: Start, transport_stream: bytes, channel: int, capfd: pytest.CaptureFixture[str]
) -> None:
    noise = np.random.default_rng(0)
    server = sender(RtspServer(transport_stream, noise=lambda: interleaved(channel, noise.bytes(300))))
    with open_source(f"rtsp://127.0.0.1:{server.port}/live", OPTIONS) as source:
        items = list(source)
    check_times(items)
    assert len(frames(items)) >= CLIP_SECONDS * FPS - 5
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("framed", [True, False])
def test_garbage_that_never_ends_is_given_up(sender: Start, framed: bool) -> None:
    def babble(connection: socket.socket) -> None:
        RtspServer(b"")(connection)
        for number in range(1000):
            noise = np.random.default_rng(number).bytes(300)
            connection.sendall(interleaved(0, noise) if framed else noise.replace(b"$", b"?"))
            threading.Event().wait(0.02)

    server = sender(babble)
    began = time.monotonic()
    with pytest.raises(MediaError):
        open_source(f"rtsp://127.0.0.1:{server.port}/live", SourceOptions(open_seconds=1.0, read_seconds=1.0))
    assert time.monotonic() - began < 6.0


def test_a_server_that_plays_nothing_is_given_up(sender: Start) -> None:
    server = sender(RtspServer(b"", silent=True))
    began = time.monotonic()
    with pytest.raises(MediaError):
        open_source(f"rtsp://127.0.0.1:{server.port}/live", SourceOptions(open_seconds=1.0, read_seconds=1.0))
    assert time.monotonic() - began < 6.0
