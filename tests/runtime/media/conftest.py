"""Small media files, written as the tests need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

VIDEO_TICK = Fraction(1, 10_000)
Part = tuple[float, NDArray[np.float32]]
"""Start in seconds and samples of a run of sound."""

CORNERS = {
    "top left": (255, 0, 0),
    "top right": (0, 255, 0),
    "bottom left": (0, 0, 255),
    "bottom right": (255, 255, 255),
}
"""Colours of the four quarters of the test picture."""


def quarters(width: int = 96, height: int = 64) -> NDArray[np.uint8]:
    """A picture of four coloured quarters."""
    picture = np.zeros((height, width, 3), np.uint8)
    y, x = height // 2, width // 2
    for name, colour in CORNERS.items():
        rows = slice(0, y) if "top" in name else slice(y, None)
        columns = slice(0, x) if "left" in name else slice(x, None)
        picture[rows, columns] = colour
    return picture


def _add_video(
    container: OutputContainer, codec: str, picture: NDArray[np.uint8], matrix: Sequence[int] | None
) -> VideoStream:
    stream = container.add_stream(codec, rate=25)
    stream.height, stream.width = picture.shape[:2]
    stream.pix_fmt, stream.bit_rate = ("rgb24" if codec == "png" else "yuv420p"), 2_000_000
    stream.codec_context.time_base = stream.time_base = VIDEO_TICK
    if matrix is not None:
        if not hasattr(stream, "set_display_matrix"):
            pytest.skip("this PyAV can't write a display matrix")
        stream.set_display_matrix(matrix)
    return stream


def _pictures(times: Sequence[float], picture: NDArray[np.uint8]) -> Iterator[av.VideoFrame]:
    for seconds in times:
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = round(seconds / VIDEO_TICK), VIDEO_TICK
        yield frame


def _blocks(parts: Sequence[Part], rate_hz: int, layout: str, channels: int) -> Iterator[av.AudioFrame]:
    for start_seconds, pcm in parts:
        for offset in range(0, len(pcm), 1024):
            block = np.repeat(pcm[offset : offset + 1024], channels).reshape(1, -1)
            frame = av.AudioFrame.from_ndarray((block * 32767).astype(np.int16), format="s16", layout=layout)
            frame.sample_rate, frame.time_base = rate_hz, Fraction(1, rate_hz)
            frame.pts = round(start_seconds * rate_hz) + offset
            yield frame


@pytest.fixture
def write_clip(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes a clip and returns its path."""

    def write(
        name: str = "clip.mkv",
        *,
        times: Sequence[float] = (),
        sound: Sequence[Part] = (),
        picture: NDArray[np.uint8] | None = None,
        matrix: Sequence[int] | None = None,
        rate_hz: int = 44_100,
        channels: int = 1,
        codec: str = "pcm_s16le",
        video_codec: str = "mpeg4",
    ) -> Path:
        path = tmp_path / name
        with av.open(str(path), "w") as container:
            shown = quarters() if picture is None else picture
            layout = {1: "mono", 2: "stereo", 6: "5.1"}[channels]
            jobs: list[tuple[Any, Iterator[Any]]] = []
            if times:
                jobs.append((_add_video(container, video_codec, shown, matrix), _pictures(times, shown)))
            if sound:
                stream = container.add_stream(codec, rate=rate_hz, layout=layout)
                jobs.append((stream, _blocks(sound, rate_hz, layout, channels)))
            for stream, frames in jobs:
                for frame in (*frames, None):
                    container.mux(stream.encode(frame))
        return path

    return write
