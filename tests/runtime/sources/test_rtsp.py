"""An RTSP server on the loopback interface that sends a transport stream in RTP (RFC 2326, RFC 2250)."""

from __future__ import annotations

import base64
import re
import socket
import struct
from collections.abc import Callable

import pytest

from emorec_rt.errors import MediaError
from emorec_rt.sources import SourceOptions, open_source
from senders import CLIP_SECONDS, FPS, Sender, check_times, frames, sound

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
LOGIN = base64.b64encode(b"admin:s3cret").decode()
PAYLOAD_BYTES = 7 * 188
OPTIONS = SourceOptions(open_seconds=5.0, read_seconds=1.0, reconnect_seconds=0.0)

Start = Callable[..., Sender]


class RtspServer:
    """What one connection sees.

    Args:
        data: The transport stream.
        silent: Keep the connection open at the end rather than close it.
    """

    def __init__(self, data: bytes, *, login: bool = False, silent: bool = False) -> None:
        self._data = data
        self._login = login
        self._silent = silent

    def __call__(self, connection: socket.socket) -> None:
        requests = connection.makefile("rb")
        while (method := self._answer(connection, requests.readline(), requests)) is not None:
            if method == "PLAY":
                self._send(connection)
                if self._silent:
                    requests.read(1)
                return

    def _answer(self, connection: socket.socket, first: bytes, requests: object) -> str | None:
        if not first.strip():
            return None
        head = first.decode()
        while (line := requests.readline().decode()).strip():  # type: ignore[attr-defined]
            head += line
        method = head.split()[0]
        sequence = re.search(r"CSeq: (\d+)", head)
        body, extra, status = b"", "", "200 OK"
        if self._login and LOGIN not in head and method != "OPTIONS":
            status, extra = "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif method == "DESCRIBE":
            body, extra = SDP, "Content-Type: application/sdp\r\n"
        elif method == "SETUP":
            extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
        elif method == "PLAY":
            extra = "Session: 1\r\n"
        number = sequence[1] if sequence else "0"
        reply = f"RTSP/1.0 {status}\r\nCSeq: {number}\r\n{extra}Content-Length: {len(body)}\r\n\r\n"
        connection.sendall(reply.encode() + body)
        return method

    def _send(self, connection: socket.socket) -> None:
        for number, start in enumerate(range(0, len(self._data), PAYLOAD_BYTES)):
            payload = self._data[start : start + PAYLOAD_BYTES]
            packet = struct.pack(">BBHII", 0x80, 33, number, number * 900, 1) + payload
            connection.sendall(struct.pack(">cBH", b"$", 0, len(packet)) + packet)


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
