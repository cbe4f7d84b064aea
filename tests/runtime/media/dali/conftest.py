"""Clips for DALI's tests: drawn faces with sound, in formats that DALI reads on a CPU, or doesn't."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import pytest

DEMO = Path(__file__).parents[4] / "examples" / "demo.mp4"
FRAMES = 40
START_MS = 520
Make = Callable[..., Path]


@pytest.fixture(scope="session")
def dali() -> None:
    """DALI, or a skip."""
    pytest.importorskip("nvidia.dali", reason="NVIDIA DALI is not installed: pip install 'emorec[dali]'")


@pytest.fixture
def make_clip(tmp_path: Path) -> Make:
    """Make a clip: variable frame rate, and times that don't start at 0."""
    return lambda name, codec, **settings: write(tmp_path / name, codec, **settings)


def write(
    path: Path, codec: str, *, pix_fmt: str = "yuv420p", sound: str | None = "libopus", colorspace: int = 2
) -> Path:
    with av.open(str(path), "w") as out, av.open(str(DEMO)) as demo:
        options = {"deadline": "realtime", "cpu-used": "8", "b": "1500000", "auto-alt-ref": "1"}
        video = out.add_stream(codec, rate=25, options=options if "vp" in codec else {"q:v": "3"})
        picture = demo.streams.video[0]
        video.width, video.height, video.pix_fmt = picture.width, picture.height, pix_fmt
        video.codec_context.time_base = Fraction(1, 1000)
        video.codec_context.colorspace = colorspace
        audio = out.add_stream(sound, rate=48_000, layout="mono") if sound else None
        for index, frame in enumerate(demo.decode(picture)):
            if index == FRAMES:
                break
            out.mux(video.encode(_timed(frame.reformat(format=pix_fmt), index)))
        out.mux(video.encode(None))
        if audio is not None:
            _add_sound(out, audio)
    return path


def _timed(frame: av.VideoFrame, index: int) -> av.VideoFrame:
    frame.pts = START_MS + 40 * index + 13 * (index % 3)
    frame.time_base = Fraction(1, 1000)
    frame.pict_type = av.video.frame.PictureType.NONE
    return frame


def _add_sound(out: Any, stream: Any) -> None:
    with av.open(str(DEMO)) as demo:
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=48_000, frame_size=960)
        for block in demo.decode(audio=0):
            for frame in resampler.resample(block):
                if frame.time > 1.5:
                    out.mux(stream.encode(None))
                    return
                out.mux(stream.encode(frame))
