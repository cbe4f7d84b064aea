"""The pace of a live source: slower while it is late, back to its schedule afterwards."""

from __future__ import annotations

import numpy as np
import pytest

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.media.types import Samples
from emorec_rt.windows.chunks import AudioChunker
from emorec_rt.windows.pace import LONGEST_STRETCH, Pace


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def run(self, pace: Pace, seconds: float, age_seconds: float) -> None:
        for _ in range(round(seconds * 25)):
            self.seconds += 0.04
            pace.note(age_seconds)


def test_a_source_that_is_on_time_keeps_its_schedule() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.run(pace, 60.0, 0.05)
    assert (pace.stretch, pace.longest) == (1.0, 1.0)


def test_it_slows_down_while_it_is_late_and_comes_back() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.run(pace, 2.0, 0.8)
    late = pace.stretch
    assert 2.0 < late < 8.0
    clock.run(pace, 10.0, 0.3)
    assert pace.stretch == late
    clock.run(pace, 120.0, 0.05)
    assert pace.stretch == 1.0
    assert pace.longest == late


def test_it_slows_down_no_further_than_makes_sense() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.run(pace, 60.0, 9.0)
    assert pace.stretch == LONGEST_STRETCH


def test_batches_wait_as_long_as_the_pace_lets_them() -> None:
    clock = Clock()
    pace = Pace(clock)
    flushes = 0
    for _ in range(250):
        clock.seconds += 0.04
        flushes += pace.flush_due()
    assert flushes == pytest.approx(48, abs=3)


@pytest.mark.parametrize("cores", [1, 2, 3])
def test_longer_chunks_hold_the_same_tokens(cores: int) -> None:
    audio = Audio(chunk_tokens=40, context_tokens=5, embedding_dim=4)
    pcm = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * SAMPLE_RATE_HZ).astype(np.float32)
    chunker = AudioChunker(audio, 25, 5)
    chunker.cores = cores
    chunks = [*chunker.push(Samples(1.0, pcm)), *chunker.finish()]
    assert [chunk.index for chunk in chunks][:3] == [0, cores, 2 * cores]
    for chunk in chunks:
        assert len(chunk.samples) == audio.chunk_samples
        assert len(chunk.mask) == chunk.cores * chunker.core
        first = 25 - (chunk.cores - 1) * chunker.core
        for k in range(0, len(chunk.mask), 7):
            heard = chunk.samples[(first + k) * 320 :][:400]
            place = (chunk.index * chunker.core + k) * 320
            wanted = pcm[place : place + 400]
            np.testing.assert_array_equal(heard[: len(wanted)], wanted)
            assert not heard[len(wanted) :].any()
    assert sum(chunk.mask.sum() for chunk in chunks) == (len(pcm) - 200) // 320 + 1


def test_the_later_it_is_the_more_it_slows_down() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.run(pace, 0.6, 4.0)
    assert pace.stretch == pytest.approx(4.0)
