"""Made-up predictions and small generated clips."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.faces import Box
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import OutputOptions, Target, Writer

TICK = Fraction(1, 90_000)


def prediction(index: int, time_seconds: float, label: str = "Happiness", p: float = 0.65) -> Prediction:
    """A row whose label has probability ``p``; the rest is shared evenly."""
    probabilities = np.full(len(EXPRESSIONS), (1 - p) / (len(EXPRESSIONS) - 1), np.float32)
    probabilities[EXPRESSIONS.index(label)] = p
    box = Box(20.0, 10.0, 30.0, 40.0)
    return Prediction(index, time_seconds, label, probabilities, face=True, sound=True, box=box)


def rows(times: Iterable[float], label: str = "Happiness") -> list[Prediction]:
    return [prediction(index, time, label) for index, time in enumerate(times)]


def target(path: Path, source: Path = Path("nowhere/talk.mp4"), **options: float) -> Target:
    return Target(source, path, EXPRESSIONS, OutputOptions(**options))


def write_all(writer: Writer, predictions: Iterable[Prediction]) -> None:
    for item in predictions:
        writer.write(item)
    writer.commit()


def tone(seconds: float, rate_hz: int) -> NDArray[np.float32]:
    """A rising chirp: it matches itself at one lag alone."""
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    wave: NDArray[np.float32] = (0.5 * np.sin(2 * np.pi * (200 * t + 400 * t**2))).astype(np.float32)
    return wave


def write_clip(
    path: Path,
    times: Sequence[float] = (),
    *,
    size: tuple[int, int] = (64, 96),
    sound_codec: str | None = None,
    sound_at: float = 0.0,
    sound_seconds: float = 1.0,
    rate_hz: int = 44_100,
) -> Path:
    """Grey pictures that get brighter, and a chirp; ``size`` is height and width."""
    with av.open(str(path), "w") as out:
        video = out.add_stream("mpeg4", rate=25) if times else None
        sound = out.add_stream(sound_codec, rate=rate_hz, layout="mono") if sound_codec else None
        if video is not None:
            video.height, video.width, video.pix_fmt = *size, "yuv420p"
            video.codec_context.time_base = video.time_base = Fraction(1, 10_000)
        for index, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(np.full((*size, 3), 20 + 3 * index % 200, np.uint8), "rgb24")
            picture.pts, picture.time_base = round(time * 10_000), Fraction(1, 10_000)
            out.mux(video.encode(picture))
        if sound is not None:
            pcm = (tone(sound_seconds, rate_hz) * 32767).astype(np.int16)
            for offset in range(0, len(pcm), 1024):
                block = av.AudioFrame.from_ndarray(pcm[None, offset : offset + 1024], "s16", "mono")
                block.sample_rate, block.time_base = rate_hz, Fraction(1, rate_hz)
                block.pts = round(sound_at * rate_hz) + offset
                out.mux(sound.encode(block))
        for stream in (video, sound):
            if stream is not None:
                out.mux(stream.encode(None))
    return path


@pytest.fixture
def clip(tmp_path: Path) -> Callable[..., Path]:
    def write(name: str = "clip.mkv", *args: object, **options: object) -> Path:
        folder = tmp_path / "in"
        folder.mkdir(exist_ok=True)
        return write_clip(folder / name, *args, **options)

    return write


def leftovers(folder: Path) -> list[Path]:
    return list(folder.rglob("*.part"))
