"""Senders on the loopback interface, and what they send."""

from __future__ import annotations

import contextlib
import io
import socket
import threading
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from emorec_rt.media import Frame, MediaItem, Samples
from emorec_rt.media.sources import SourceOptions

FPS = 25
CLIP_SECONDS = 2
RATE_HZ = 16_000
QUICK = SourceOptions(open_seconds=5.0, read_seconds=2.0, reconnect_seconds=0.0)
"""For senders that end and don't come back."""

PATIENT = SourceOptions(open_seconds=5.0, read_seconds=2.0, reconnect_seconds=8.0)
"""For senders that come back."""


def picture(number: int) -> NDArray[np.uint8]:
    return np.full((48, 64, 3), (number * 5) % 256, np.uint8)


def clip_bytes(format_name: str = "mpegts", seconds: float = CLIP_SECONDS, options: Any = None) -> bytes:
    """A clip of video and sound."""
    file = io.BytesIO()
    with av.open(file, "w", format=format_name, options=options) as container:
        video = container.add_stream("mpeg4" if format_name == "mp4" else "mpeg2video", rate=FPS)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.gop_size = 5
        sound = container.add_stream("mp2", rate=RATE_HZ, layout="mono")
        for number in range(round(seconds * FPS)):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture(number), format="rgb24")))
            block = np.full((1, RATE_HZ // FPS), 3000, np.int16)
            samples = av.AudioFrame.from_ndarray(block, format="s16", layout="mono")
            samples.sample_rate, samples.time_base = RATE_HZ, Fraction(1, RATE_HZ)
            samples.pts = number * RATE_HZ // FPS
            container.mux(sound.encode(samples))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    return file.getvalue()


class Sender(threading.Thread):
    """Answers connections one after the other, each with the next script; then nothing listens any more.

    Args:
        scripts: What to do with each connection; the sender closes it afterwards.
        pause_seconds: How long nothing listens between two connections.
    """

    def __init__(
        self, scripts: Sequence[Callable[[socket.socket], None]], pause_seconds: float = 0.0
    ) -> None:
        super().__init__(daemon=True)
        self._scripts = scripts
        self._pause_seconds = pause_seconds
        self._gone = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.start()

    def run(self) -> None:
        for number, script in enumerate(self._scripts):
            if number and self._pause_seconds:
                self._gone.wait(self._pause_seconds)
            if number:
                self._listener = socket.create_server(("127.0.0.1", self.port))
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._listener.close()
            with connection:
                try:
                    script(connection)
                except OSError:
                    continue  # the receiver has had enough

    def stop(self) -> None:
        self._gone.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.join(5.0)
        assert not self.is_alive()


def frames(items: Sequence[MediaItem]) -> list[Frame]:
    return [item for item in items if isinstance(item, Frame)]


def sound(items: Sequence[MediaItem]) -> list[Samples]:
    return [item for item in items if isinstance(item, Samples)]


def check_times(items: Sequence[MediaItem]) -> None:
    """Frames count up, their times increase, and sound doesn't overlap."""
    seen = frames(items)
    assert [frame.index for frame in seen] == list(range(len(seen)))
    assert (np.diff([frame.pts_seconds for frame in seen]) > 0).all()
    blocks = sound(items)
    ends = [block.pts_seconds + len(block.pcm) / RATE_HZ for block in blocks]
    assert all(block.pts_seconds >= end - 1e-3 for end, block in zip(ends, blocks[1:], strict=False))
