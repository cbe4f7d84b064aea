"""Bytes from standard input, a TCP connection or UDP datagrams, read so that nothing blocks for ever.

FFmpeg gets these as file objects and never an address: it can't be talked into opening anything else.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from abc import abstractmethod
from typing import Final

from emorec_rt.media.container import ByteSource, neutral_name
from emorec_rt.media.sources.addresses import Endpoint

POLL_SECONDS: Final = 0.1
"""Time until a read notices that it was interrupted."""

DATAGRAM_BYTES: Final = 65_536
UDP_BUFFER_BYTES: Final = 4 * 1024 * 1024
HEAD_BYTES: Final = 4096
"""Bytes that a transport keeps of its beginning."""


class Transport(ByteSource):
    """A file object without ``seek``, whose reads another thread can end.

    Args:
        suffix: Of the name, from which FFmpeg may guess the format.

    Attributes:
        name: Name that FFmpeg sees.
        head: The first bytes.
        bytes_read: Bytes that came so far.
        open_by: Monotonic time by which the format must be known; ``None`` afterwards.
    """

    def __init__(self, suffix: str = "") -> None:
        self.name = neutral_name(suffix)
        self.head = b""
        self.bytes_read = 0
        self.open_by: float | None = None
        self._interrupted = threading.Event()

    def _fetch(self, size: int) -> bytes:
        if self._interrupted.is_set():
            return b""
        if self.open_by is not None and time.monotonic() > self.open_by:
            raise TimeoutError("no known format in what came")
        data = self._receive(size)
        self.bytes_read += len(data)
        if len(self.head) < HEAD_BYTES:
            self.head += data[: HEAD_BYTES - len(self.head)]
        return data

    def interrupt(self) -> None:
        """Let a read that waits in another thread return nothing."""
        self._interrupted.set()

    @property
    def interrupted(self) -> bool:
        """Say whether ``interrupt`` was called."""
        return self._interrupted.is_set()

    @property
    def cut_short(self) -> bool:
        """Say whether less came than was announced."""
        return False

    @property
    def complete(self) -> bool:
        """Say whether the sender said that this was all."""
        return False

    @abstractmethod
    def _receive(self, size: int) -> bytes:
        """Read up to ``size`` bytes; none at the end and after ``interrupt``.

        Raises:
            OSError: The connection is lost; a ``TimeoutError`` when nothing comes.
        """

    def _wait_readable(self, file: int | socket.socket, seconds: float | None) -> bool:
        """Wait until there is something to read; ``False`` when interrupted.

        Raises:
            TimeoutError: Nothing came for ``seconds``.
        """
        until = None if seconds is None else time.monotonic() + seconds
        poll = select.poll()
        poll.register(file, select.POLLIN)
        while not self._interrupted.is_set():
            if poll.poll(POLL_SECONDS * 1000):
                return True
            if until is not None and time.monotonic() > until:
                raise TimeoutError(f"nothing came for {seconds:g} s")
        return False


class Interruption:
    """Ends the reads of a source's current transport, from another thread."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._transport: Transport | None = None
        self._lock = threading.Lock()

    def watch(self, transport: Transport) -> None:
        """Have this transport interrupted, too."""
        with self._lock:
            self._transport = transport
            if self.event.is_set():
                transport.interrupt()

    def interrupt(self) -> None:
        """Interrupt, for good."""
        with self._lock:
            self.event.set()
            if self._transport is not None:
                self._transport.interrupt()


class PipeTransport(Transport):
    """Standard input, or any file descriptor. It waits for its writer for as long as that takes.

    Args:
        descriptor: Not closed here.
    """

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor

    def close(self) -> None:
        """Leave the descriptor to its owner."""

    def _receive(self, size: int) -> bytes:
        return os.read(self._descriptor, size) if self._wait_readable(self._descriptor, None) else b""


class TcpTransport(Transport):
    """A TCP connection.

    Args:
        endpoint: Where to connect to.
        open_seconds: How long connecting may take.
        read_seconds: How long nothing may come.

    Raises:
        OSError: No connection.
    """

    def __init__(self, endpoint: Endpoint, open_seconds: float, read_seconds: float) -> None:
        super().__init__()
        self._read_seconds = read_seconds
        self._socket = socket.create_connection((endpoint.host, endpoint.port), open_seconds)

    def close(self) -> None:
        """Close the connection."""
        self._socket.close()

    def _receive(self, size: int) -> bytes:
        return self._socket.recv(size) if self._wait_readable(self._socket, self._read_seconds) else b""


class UdpTransport(Transport):
    """UDP datagrams that arrive at a port, of a multicast group where the host is one.

    Args:
        endpoint: Local address, or multicast group; an empty host takes every local address.
        read_seconds: How long nothing may come.

    Raises:
        OSError: The port can't be had.
    """

    def __init__(self, endpoint: Endpoint, read_seconds: float) -> None:
        super().__init__()
        self._read_seconds = read_seconds
        self._rest = b""
        family, _, _, _, place = socket.getaddrinfo(
            endpoint.host or None, endpoint.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )[0]
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UDP_BUFFER_BYTES)
            self._bind(family, str(place[0]), place)
        except OSError:
            self._socket.close()
            raise

    def close(self) -> None:
        """Leave the port."""
        self._socket.close()

    def _bind(self, family: int, host: str, place: tuple[object, ...]) -> None:
        packed = socket.inet_pton(family, host.partition("%")[0])
        multicast = packed[0] >> 4 == 0xE if family == socket.AF_INET else packed[0] == 0xFF
        if multicast:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(place)
        if multicast and family == socket.AF_INET:
            self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, packed + bytes(4))
        elif multicast:
            self._socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, packed + bytes(4))

    def _receive(self, size: int) -> bytes:
        if not self._rest and self._wait_readable(self._socket, self._read_seconds):
            self._rest = self._socket.recv(DATAGRAM_BYTES)
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
