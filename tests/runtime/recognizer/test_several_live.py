"""Several live sources at once through one recognizer, each in a thread of its own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import numpy as np
import pytest

import emorec_rt
from emorec_rt.media.sources import SourceOptions
from senders import CLIP_SECONDS, FPS, Sender, clip_bytes

STREAMS = 3


@pytest.fixture
def senders() -> Iterator[list[Sender]]:
    data = clip_bytes()

    def play(connection: socket.socket) -> None:
        for part in np.array_split(np.frombuffer(data, np.uint8), 20):
            connection.sendall(part.tobytes())
            time.sleep(CLIP_SECONDS / 20)

    started = [Sender([play]) for _ in range(STREAMS)]
    yield started
    for sender in started:
        sender.stop()


def test_each_gives_its_own_rows(senders: list[Sender]) -> None:
    source = SourceOptions(open_seconds=10.0, read_seconds=2.0, reconnect_seconds=0.0)
    recognizer = emorec_rt.load(face="off", backend="onnxruntime", source=source)
    times: list[list[float]] = [[] for _ in senders]

    def follow(number: int) -> None:
        for row in recognizer.stream(f"tcp://127.0.0.1:{senders[number].port}"):
            times[number].append(row.time_seconds)

    threads = [threading.Thread(target=follow, args=(number,), daemon=True) for number in range(STREAMS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive()
    for rows in times:
        assert len(rows) >= 0.9 * CLIP_SECONDS * FPS
        assert (np.diff(rows) > 0).all()
