"""One clock over several connections."""

from __future__ import annotations

import numpy as np
import pytest

from emorec_rt.media import Frame, Samples
from emorec_rt.media.sources.clock import LiveClock


def frame(seconds: float) -> Frame:
    return Frame(0, seconds, np.zeros((2, 2, 3), np.uint8))


def block(seconds: float, length_seconds: float = 0.5) -> Samples:
    return Samples(seconds, np.zeros(round(length_seconds * 16_000), np.float32))


def place(clock: LiveClock, item: Frame | Samples) -> float | None:
    placed = clock.place(item)
    return None if placed is None else placed.pts_seconds


def test_times_start_at_zero_and_streams_keep_their_distance() -> None:
    clock = LiveClock()
    assert place(clock, frame(95_000.0)) == 0.0
    assert place(clock, block(94_999.9)) == pytest.approx(-0.1)
    assert place(clock, frame(95_000.04)) == pytest.approx(0.04)
    assert clock.end_seconds == pytest.approx(0.4)


def test_a_clock_that_starts_again_goes_on_after_the_time_that_passed() -> None:
    clock = LiveClock()
    for n in range(10):
        clock.place(frame(50.0 + n))
    clock.reconnected(away_seconds=3.0)
    assert place(clock, frame(1.4)) == pytest.approx(12.0, abs=0.01)
    assert place(clock, block(1.3)) == pytest.approx(11.9, abs=0.01)


def test_a_clock_that_goes_on_is_believed() -> None:
    clock = LiveClock()
    clock.place(frame(50.0))
    clock.place(frame(51.0))
    clock.reconnected(away_seconds=3.0)
    assert place(clock, frame(55.5)) == pytest.approx(5.5)


def test_a_leap_is_not_believed() -> None:
    clock = LiveClock()
    clock.place(frame(0.0))
    clock.reconnected(away_seconds=1.0)
    assert place(clock, frame(5_000.0)) == pytest.approx(1.0, abs=0.01)


def test_what_would_come_before_the_loss_is_left_out_and_frames_keep_counting() -> None:
    clock = LiveClock()
    clock.place(frame(0.0))
    clock.place(block(0.0, 2.0))
    clock.reconnected(away_seconds=0.1)
    assert place(clock, block(70.0)) == pytest.approx(2.1)
    assert place(clock, frame(69.8)) is None
    later = clock.place(frame(70.0))
    assert isinstance(later, Frame)
    assert (later.index, later.pts_seconds) == (1, pytest.approx(2.1))
