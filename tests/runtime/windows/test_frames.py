"""Exact mode, frames left out, crops reused: against what each step should get."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.engines.batching import Batcher
from emorec_rt.windows.frames import FrameEncoder, Slot
from emorec_rt.windows.pace import LATE_SECONDS, Pace
from fakes import FakeVision, preprocessing

FPS = 25.0


def crop(red: int) -> NDArray[np.uint8]:
    return np.full((28, 28, 3), red, np.uint8)


class Bench:
    """An encoder whose embeddings are (red, 1), and the slots that it was given."""

    def __init__(
        self, fps: float | None = None, *, waits: bool = True, batch: int = 4, stretch: float = 1.0
    ) -> None:
        spec = preprocessing()
        engine = FakeVision(spec)
        engine.inputs = tuple(
            type(s)(name=s.name, dtype=s.dtype, shape=(-1, 28, 28, 3)) for s in engine.inputs
        )
        self.batcher = Batcher(engine, batch)
        self.pace = Pace()
        self.pace.stretch = stretch
        self.encoder = FrameEncoder(self.batcher, fps, waits=waits, pace=self.pace)
        self.slots: list[Slot] = []

    def add(self, frame: int, red: int | None) -> None:
        slot = Slot(len(self.slots) / FPS)
        self.slots.append(slot)
        self.encoder.add(slot, frame, None if red is None else crop(red))

    def reds(self) -> list[float | None]:
        """What each step got, the input being at its end."""
        self.encoder.finish()
        self.batcher.flush()
        assert all(slot.ready for slot in self.slots)
        return [None if slot.embedding is None else float(slot.embedding[0]) for slot in self.slots]


def test_exact_mode_encodes_every_frame_once() -> None:
    bench = Bench()
    for frame, red in [(0, 1), (1, 2), (1, 2), (2, None), (3, 4), (4, 5)]:
        bench.add(frame, red)
    assert bench.reds() == [1, 2, 2, None, 4, 5]
    assert bench.batcher.submitted == 4


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("fps", [5.0, 12.5])
def test_steps_between_encoded_frames_are_interpolated(batch: int, fps: float) -> None:
    bench = Bench(fps, batch=batch)
    count, every = 51, round(FPS / fps)
    for k in range(count):
        bench.add(k, 2 * k)
    np.testing.assert_allclose(bench.reds(), [2.0 * k for k in range(count)], atol=1e-4)
    assert bench.batcher.submitted == (count - 1) // every + 1


def test_a_rate_that_does_not_divide_is_met_on_average() -> None:
    bench = Bench(10.0)
    for k in range(250):
        bench.add(k, k % 200)
    bench.reds()
    assert bench.batcher.submitted == 100


def test_nothing_is_interpolated_across_a_missing_face() -> None:
    bench = Bench(5.0)
    reds = [10, 20, 30, None, None, 100, 110, 120]
    for k, red in enumerate(reds):
        bench.add(k, red)
    assert bench.reds() == [10, 10, 10, None, None, 100, 100, 100]
    assert bench.batcher.submitted == 2


def test_a_live_source_does_not_wait_for_the_next_frame() -> None:
    bench = Bench(5.0, waits=False, batch=1)
    for k in range(8):
        bench.add(k, 10 * k)
        assert bench.slots[-1].ready
        held = bench.slots[-1].embedding
        assert held is not None
        assert held[0] == 50 * (k // 5)
    np.testing.assert_allclose(bench.reds(), [0, 10, 20, 30, 40, 50, 50, 50], atol=1e-4)
    assert [slot.interpolated for slot in bench.slots] == [k % 5 > 0 for k in range(8)]


@pytest.mark.parametrize(("stretch", "encoded"), [(1.0, 100), (2.0, 50), (4.0, 25), (16.0, 7)])
def test_a_slower_pace_encodes_evenly_fewer(stretch: float, encoded: int) -> None:
    bench = Bench(stretch=stretch)
    for k in range(100):
        bench.add(k, k)
    np.testing.assert_allclose(bench.reds()[:90], range(90), atol=1e-4)
    assert bench.batcher.submitted == encoded
    assert sum(slot.interpolated for slot in bench.slots) == 100 - encoded


def test_a_sudden_change_is_encoded_at_once_and_paid_for_later() -> None:
    bench = Bench(stretch=8.0)
    for k in range(100):
        bench.add(k, 50 if k < 43 else 180)
    reds = bench.reds()
    assert reds[43] == 180
    assert not bench.slots[43].interpolated
    assert bench.slots[42].interpolated
    assert bench.batcher.submitted == 13


def test_noise_is_no_change() -> None:
    bench, rng = Bench(stretch=8.0), np.random.default_rng(0)
    for k, red in enumerate(rng.integers(100, 104, 100)):
        bench.add(k, int(red))
    bench.reds()
    assert bench.batcher.submitted == 13


def test_an_old_frame_gives_way_to_newer_ones_but_not_for_ever() -> None:
    bench = Bench()
    bench.pace.note(0.0, LATE_SECONDS + 0.1)
    for k in range(60):
        bench.add(k, k)
    assert bench.batcher.submitted == 3  # the first, and one after each second
    bench.pace.note(0.0, LATE_SECONDS + 0.1, newest=True)
    bench.add(60, 60)
    assert not bench.slots[-1].interpolated


def test_a_pace_that_recovers_encodes_every_frame_at_once() -> None:
    bench = Bench(stretch=16.0)
    for k in range(3):
        bench.add(k, k)
    bench.pace.stretch = 1.0
    for k in range(3, 10):
        bench.add(k, k)
        assert not bench.slots[-1].interpolated
