"""Digital silence is masked like missing sound; pauses of speech are not."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import SAMPLE_RATE_HZ, TOKEN_RATE_HZ
from emorec_rt.media.types import Samples
from emorec_rt.windows.chunks import AudioChunker
from emorec_rt.windows.silence import CLOSE_PEAK, HOLD_TOKENS, OPEN_PEAK, SilenceGate, token_peaks

AUDIO = Audio(chunk_tokens=20, context_tokens=5, embedding_dim=4)


def mask(pcm: NDArray[np.float32], left: int = 5, right: int = 5) -> NDArray[np.bool_]:
    """Whether each whole token of a signal counts as sound."""
    chunker = AudioChunker(AUDIO, left, right)
    open_ = np.zeros(len(pcm) * TOKEN_RATE_HZ // SAMPLE_RATE_HZ + 100, bool)
    for chunk in (*chunker.push(Samples(0.0, pcm)), *chunker.finish()):
        open_[chunk.index * chunker.core :][: chunker.core] = chunk.mask
    return open_[: len(pcm) * TOKEN_RATE_HZ // SAMPLE_RATE_HZ - 1]


def noise(seconds: float, height: float) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.uniform(-height, height, round(seconds * SAMPLE_RATE_HZ)).astype(np.float32)


@pytest.mark.parametrize("height", [0.0, 2.0**-15, 2.0**-14.1])
def test_zeros_and_dither_are_no_sound(height: float) -> None:
    assert not mask(noise(5.0, height)).any()


def test_a_quiet_room_is_sound() -> None:
    assert mask(noise(5.0, 2.0**-11)).all()


def test_silence_counts_from_a_second_on() -> None:
    pcm = np.concatenate(
        [noise(1.0, 0.1), noise(0.9, 0.0), noise(1.0, 0.1), noise(4.0, 0.0), noise(1.0, 0.1)]
    )
    open_ = mask(pcm)
    seconds = np.arange(len(open_)) / TOKEN_RATE_HZ
    assert open_[seconds < 3.8].all()
    assert not open_[(seconds > 4.0) & (seconds < 6.75)].any()
    assert open_[seconds > 6.9].all()


def test_how_sound_is_cut_makes_no_difference() -> None:
    pcm = np.concatenate([noise(0.5, 0.1), noise(2.0, 0.0), noise(1.0, 0.1)])
    np.testing.assert_array_equal(mask(pcm, 5, 5), mask(pcm, 11, 5))


def test_hysteresis_between_the_two_heights() -> None:
    between = np.full(3 * HOLD_TOKENS, (OPEN_PEAK + CLOSE_PEAK) / 2, np.float32)
    gate = SilenceGate()
    assert not gate.open(between).any()
    assert gate.open(np.array([OPEN_PEAK], np.float32)).all()
    assert gate.open(between).all()
    quiet = gate.open(np.zeros(2 * HOLD_TOKENS, np.float32))
    assert quiet[: HOLD_TOKENS - 1].all()
    assert not quiet[HOLD_TOKENS:].any()


def test_peaks_are_those_of_what_a_token_hears() -> None:
    samples = noise(1.0, 0.5)
    peaks = token_peaks(samples, 3, 10)
    for k in range(10):
        start = (3 + k) * 320
        assert peaks[k] == np.abs(samples[start : start + 400]).max()


def test_soft_beginnings_count() -> None:
    open_ = mask(np.concatenate([noise(1.0, 0.0), noise(1.0, 0.1)]))
    assert not open_[:44].any()
    assert open_[46:].all()
