"""Fixtures of senders on the loopback interface."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from senders import Sender, clip_bytes


@pytest.fixture(scope="session")
def transport_stream() -> bytes:
    return clip_bytes()


@pytest.fixture
def clip_file(tmp_path: Path, transport_stream: bytes) -> Path:
    path = tmp_path / "clip.ts"
    path.write_bytes(transport_stream)
    return path


@pytest.fixture
def sender() -> Iterator[Callable[..., Sender]]:
    senders: list[Sender] = []

    def start(*scripts: Callable[[socket.socket], None], pause_seconds: float = 0.0) -> Sender:
        senders.append(Sender(scripts, pause_seconds))
        return senders[-1]

    yield start
    for each in senders:
        each.stop()


@pytest.fixture
def free_port() -> int:
    """A port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])
