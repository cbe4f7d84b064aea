"""Small files in the layouts of the real data sets."""

from __future__ import annotations

import wave
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

RATE_HZ = 16_000


def tone(seed: int) -> np.ndarray:
    """A tenth of a second of noise; another seed sounds different."""
    return np.random.default_rng(seed).integers(-9000, 9000, RATE_HZ // 10).astype("<i2")


@pytest.fixture
def touch(tmp_path: Path) -> Callable[..., Path]:
    """Makes empty files, in the order given, below ``tmp_path``; returns ``tmp_path``."""

    def make(*names: str) -> Path:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


@pytest.fixture
def write_wave(tmp_path: Path) -> Callable[[str, np.ndarray], Path]:
    """Writes 16-bit mono samples at 16 kHz."""

    def write(name: str, pcm: np.ndarray) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE_HZ)
            file.writeframes(pcm.tobytes())
        return path

    return write


@pytest.fixture
def write_sound(tmp_path: Path) -> Callable[[str, np.ndarray, str], Path]:
    """Encodes 16-bit mono samples at 16 kHz with a codec, in the container that the suffix means."""

    def write(name: str, pcm: np.ndarray, codec: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=RATE_HZ, layout="mono")
            frame = av.AudioFrame.from_ndarray(pcm.reshape(1, -1), format="s16", layout="mono")
            frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), 0
            for packet in (*stream.encode(frame), *stream.encode(None)):
                container.mux(packet)
        return path

    return write
