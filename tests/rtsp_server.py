"""An RTSP server on the loopback interface that sends a transport stream in RTP (RFC 2326, RFC 2250)."""

from __future__ import annotations

import base64
import re
import socket
import struct
import time
from collections.abc import Callable

from senders import CLIP_SECONDS

SDP = b"v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track1\r\n"
LOGIN = base64.b64encode(b"admin:s3cret").decode()
PAYLOAD_BYTES = 7 * 188


class RtspServer:
    """What one connection sees.

    Args:
        data: The transport stream.
        login: Ask for user and password.
        silent: Keep the connection open at the end rather than close it.
        live: Send in real time rather than at once.
        noise: Bytes to send after each fifth packet.
    """

    def __init__(
        self,
        data: bytes,
        *,
        login: bool = False,
        silent: bool = False,
        live: bool = False,
        noise: Callable[[], bytes] = bytes,
    ) -> None:
        self._noise = noise
        self._data = data
        self._login = login
        self._silent = silent
        self._live = live

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
        starts = range(0, len(self._data), PAYLOAD_BYTES)
        began = time.monotonic()
        for number, start in enumerate(starts):
            seconds = number / len(starts) * CLIP_SECONDS
            if self._live:
                time.sleep(max(began + seconds - time.monotonic(), 0.0))
            payload = self._data[start : start + PAYLOAD_BYTES]
            stamp = round(seconds * 90_000)
            packet = struct.pack(">BBHII", 0x80, 33, number, stamp, 1) + payload
            connection.sendall(interleaved(0, packet))
            if number % 5 == 4:
                connection.sendall(self._noise())


def interleaved(channel: int, packet: bytes) -> bytes:
    """A packet inside of the RTSP connection."""
    return struct.pack(">cBH", b"$", channel, len(packet)) + packet
