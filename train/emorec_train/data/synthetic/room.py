"""Room of the recording: reverberation, background noise and the recorder's level."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import SAMPLE_RATE_HZ


def record(rng: np.random.Generator, voice: NDArray[np.float32], clean: bool) -> NDArray[np.float32]:
    """The voice as a microphone in some room hears it: float32 ``[N]`` in [-1, 1].

    Args:
        rng: Draws the room.
        voice: float32 ``[N]``, 16 kHz.
        clean: Only set the level; neither room nor noise.
    """
    peak = rng.uniform(0.25, 0.9)
    if not clean and rng.uniform() < 0.4:
        voice = _reverberate(rng, voice)
    if not clean:
        voice = voice + _background(rng, len(voice), float(np.std(voice)))
    return np.asarray(voice * (peak / (np.max(np.abs(voice), initial=0.0) + 1e-9)), dtype=np.float32)


def _reverberate(rng: np.random.Generator, voice: NDArray[np.float32]) -> NDArray[np.float32]:
    decay_seconds = rng.uniform(0.05, 0.15)
    count = round(2 * decay_seconds * SAMPLE_RATE_HZ)
    response = rng.standard_normal(count) * np.exp(-np.arange(count) / (decay_seconds * SAMPLE_RATE_HZ / 3))
    response *= rng.uniform(0.15, 0.5) / np.linalg.norm(response)
    response[0] = 1.0
    size = len(voice) + count
    heard = np.fft.irfft(np.fft.rfft(voice, size) * np.fft.rfft(response, size), size)
    return np.asarray(heard[: len(voice)], dtype=np.float32)


def _background(rng: np.random.Generator, count: int, voice_level: float) -> NDArray[np.float32]:
    colour = rng.uniform(0.0, 0.95)
    spectrum = np.fft.rfft(rng.standard_normal(count))
    low_pass = 1 - colour * np.exp(-1j * np.linspace(0, np.pi, len(spectrum)))
    noise = np.fft.irfft(spectrum / low_pass, count)
    ratio_db = rng.uniform(12.0, 36.0)
    return np.asarray(noise * (voice_level * 10 ** (-ratio_db / 20) / np.std(noise)), dtype=np.float32)
