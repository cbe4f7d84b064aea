"""Bytes of an HTTP answer: an endless stream, or a file that is read front to back."""

from __future__ import annotations

import base64
import contextlib
import http.client
import os.path
import socket
import ssl
from typing import Final, NamedTuple
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit

from emorec_rt.errors import MediaError
from emorec_rt.media.sources.addresses import masked, split
from emorec_rt.media.sources.deadline import within
from emorec_rt.media.sources.transports import HEAD_BYTES, Transport

MAX_REDIRECTS: Final = 5
MULTIPART: Final = "multipart/x-mixed-replace"
"""Content type of pictures that replace one another: what simple network cameras send."""

_PORTS: Final = {"http": 80, "https": 443}
_KEPT: Final = "/%:@!$&'()*+,;=~?-._"


class HttpTransport(Transport):
    """The body of the answer to a GET.

    User and password of the address go along as basic authentication, but not to another host that the
    server sends us to. Certificates are checked.

    Args:
        address: ``http://`` or ``https://``.
        open_seconds: How long everything may take until the answer's head is there, redirections included.
        read_seconds: How long nothing may come.

    Attributes:
        length: Bytes that the server announces; ``None`` where it doesn't.
        is_file: The server tells that it is a file: its length, its version, or that parts can be asked for.
        content_type: Type that the server tells, in lower case.

    Raises:
        OSError: No connection.
        MediaError: The server refuses, or sends us somewhere else than HTTP.
    """

    def __init__(self, address: str, open_seconds: float, read_seconds: float) -> None:
        super().__init__(os.path.splitext(split(address).path)[1])  # noqa: PTH122 - no path of this machine
        self._read_seconds = read_seconds
        self._complete = False
        reply = within(open_seconds, lambda: _follow(address, open_seconds))
        self._connection, self._socket, self._answer = reply
        self._socket.settimeout(read_seconds)
        self.length = self._answer.length
        ranges = self._answer.headers.get("Accept-Ranges", "").strip().lower() == "bytes"
        self.is_file = self.length is not None or ranges or "ETag" in self._answer.headers
        self.content_type = (self._answer.headers.get_content_type() or "").lower()

    @property
    def cut_short(self) -> bool:
        """Say whether less came than was announced."""
        return self.length is not None and self.bytes_read < self.length

    @property
    def complete(self) -> bool:
        """Say whether the sender said that this was all."""
        return self._complete

    def repeats(self, other: HttpTransport) -> bool:
        """Say whether the server closed the other connection without an error, and sends the same again."""
        closed = other.failure is None and not other.interrupted
        return closed and len(self.head) == HEAD_BYTES and self.head == other.head

    def interrupt(self) -> None:
        """Let a read that waits in another thread return nothing."""
        super().interrupt()
        with contextlib.suppress(OSError):
            socket.socket.shutdown(
                self._socket, socket.SHUT_RDWR
            )  # below TLS, which isn't ours to touch here

    def close(self) -> None:
        """Close the connection."""
        self._answer.close()
        self._connection.close()

    def _receive(self, size: int) -> bytes:
        try:
            data = self._answer.read1(size)
        except TimeoutError:
            raise TimeoutError(f"nothing came for {self._read_seconds:g} s") from None
        except (http.client.HTTPException, ValueError, AttributeError) as error:
            if self.interrupted:
                return b""
            raise ConnectionError("the server broke off") from error
        if not data and not self.interrupted:
            # Only an announced length and the last chunk tell an end from a broken connection.
            # For a file without either, a closed connection has to be believed.
            self._complete = self._answer.chunked or (self.is_file and not self.cut_short)
        return data


class _Reply(NamedTuple):
    connection: http.client.HTTPConnection
    socket: socket.socket  # http.client forgets it once the answer's head is read
    answer: http.client.HTTPResponse


def _follow(address: str, open_seconds: float) -> _Reply:
    first = split(address)
    for _ in range(MAX_REDIRECTS + 1):
        parts = split(address)
        same_host = (parts.scheme, parts.hostname, parts.port) == (first.scheme, first.hostname, first.port)
        reply = _get(parts, first if same_host else None, open_seconds)
        status, location = reply.answer.status, reply.answer.headers.get("Location")
        if status < http.client.MULTIPLE_CHOICES:
            return reply
        reply.answer.close()
        reply.connection.close()
        if status >= http.client.BAD_REQUEST or location is None:
            raise MediaError(masked(address), f"the server refuses: {status} {reply.answer.reason}")
        address = _redirected(address, location)
    raise MediaError(masked(address), f"more than {MAX_REDIRECTS} redirections")


def _redirected(address: str, location: str) -> str:
    try:
        target = urljoin(address, location)
        parts = urlsplit(target)
        known = parts.scheme in _PORTS
        _ = parts.port, (parts.hostname or "").encode("idna")
    except ValueError:
        raise MediaError(masked(address), "the server points to an address that is not well formed") from None
    if not known:
        raise MediaError(masked(target), "the server points to something that isn't HTTP")
    if not parts.hostname:
        raise MediaError(masked(address), "the server points to an address without a host")
    return target


def _get(parts: SplitResult, login: SplitResult | None, seconds: float) -> _Reply:
    connection = _connection(parts, seconds)
    try:
        connection.connect()
        target = quote(parts.path or "/", safe=_KEPT) + (
            f"?{quote(parts.query, safe=_KEPT)}" if parts.query else ""
        )
        connection.request("GET", target, headers=_headers(login))
        return _Reply(connection, connection.sock, connection.getresponse())
    except http.client.HTTPException as error:
        connection.close()
        raise ConnectionError("the answer is not HTTP") from error
    except OSError:
        connection.close()
        raise


def _connection(parts: SplitResult, seconds: float) -> http.client.HTTPConnection:
    host, port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
    if parts.scheme == "https":
        context = ssl.create_default_context()
        return http.client.HTTPSConnection(host, port, timeout=seconds, context=context)
    return http.client.HTTPConnection(host, port, timeout=seconds)


def _headers(login: SplitResult | None) -> dict[str, str]:
    headers = {"User-Agent": "emorec", "Accept": "*/*", "Icy-MetaData": "0"}
    if login is not None and login.username is not None:
        pair = f"{unquote(login.username)}:{unquote(login.password or '')}"
        headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
    return headers
