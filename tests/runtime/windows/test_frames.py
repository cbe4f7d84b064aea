"""Exact mode, frames left out, crops reused: against what each step should get."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.cli import folder_options
from emorec_rt.constants import DEFAULT_SIMILAR
from emorec_rt.engines.batching import Batcher
from emorec_rt.windows.frames import EXACT, FrameEncoder, Slot, Thinning
from fakes import FakeVision, preprocessing

FPS = 25.0


def crop(red: int) -> NDArray[np.uint8]:
    return np.full((28, 28, 3), red, np.uint8)


class Bench:
    """An encoder whose embeddings are (red, 1), and the slots that it was given."""

    def __init__(self, thinning: Thinning, *, interpolate: bool = True, batch: int = 4) -> None:
        spec = preprocessing()
        engine = FakeVision(spec)
        engine.inputs = tuple(
            type(s)(name=s.name, dtype=s.dtype, shape=(-1, 28, 28, 3)) for s in engine.inputs
        )
        self.batcher = Batcher(engine, batch)
        self.encoder = FrameEncoder(self.batcher, thinning, interpolate=interpolate)
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
    bench = Bench(EXACT)
    for frame, red in [(0, 1), (1, 2), (1, 2), (2, None), (3, 4), (4, 5)]:
        bench.add(frame, red)
    assert bench.reds() == [1, 2, 2, None, 4, 5]
    assert bench.batcher.submitted == 4


@pytest.mark.parametrize("batch", [1, 3, 64])
@pytest.mark.parametrize("fps", [5.0, 12.5])
def test_steps_between_encoded_frames_are_interpolated(batch: int, fps: float) -> None:
    bench = Bench(Thinning(vision_fps=fps), batch=batch)
    count, every = 51, round(FPS / fps)
    for k in range(count):
        bench.add(k, 2 * k)
    np.testing.assert_allclose(bench.reds(), [2.0 * k for k in range(count)], atol=1e-4)
    assert bench.batcher.submitted == (count - 1) // every + 1


def test_a_rate_that_does_not_divide_is_met_on_average() -> None:
    bench = Bench(Thinning(vision_fps=10.0))
    for k in range(250):
        bench.add(k, k % 200)
    bench.reds()
    assert bench.batcher.submitted == 100


def test_nothing_is_interpolated_across_a_missing_face() -> None:
    bench = Bench(Thinning(vision_fps=5.0))
    reds = [10, 20, 30, None, None, 100, 110, 120]
    for k, red in enumerate(reds):
        bench.add(k, red)
    assert bench.reds() == [10, 10, 10, None, None, 100, 100, 100]
    assert bench.batcher.submitted == 2


def test_a_live_source_does_not_wait_for_the_next_frame() -> None:
    bench = Bench(Thinning(vision_fps=5.0), interpolate=False, batch=1)
    for k in range(8):
        bench.add(k, 10 * k)
        assert bench.slots[-1].ready
    assert bench.reds() == [0, 0, 0, 0, 0, 50, 50, 50]


@pytest.mark.parametrize("batch", [1, 64])
def test_similar_crops_reuse_the_embedding_of_the_encoded_one(batch: int) -> None:
    bench = Bench(Thinning(skip_similar=6.0), batch=batch)
    reds = [100, 106, 112, 113, 130, 100]
    for k, red in enumerate(reds):
        bench.add(k, red)
    # In grey levels a red of 1 is 0 to 1: all channels are equal here, so grey is red. A drift adds up.
    assert bench.reds() == [100, 100, 112, 112, 130, 100]
    assert bench.batcher.submitted == 4


def test_a_change_in_a_small_part_is_a_change() -> None:
    bench = Bench(Thinning(skip_similar=6.0))
    bench.add(0, 100)
    pixels = crop(100)
    pixels[20:22, 10:12] = 140
    bench.slots.append(Slot(0.04))
    bench.encoder.add(bench.slots[-1], 1, pixels)
    bench.reds()
    assert bench.batcher.submitted == 2


def test_both_together() -> None:
    bench = Bench(Thinning(vision_fps=5.0, skip_similar=6.0))
    for k in range(26):
        bench.add(k, 100 if k < 12 else 200)
    reds = bench.reds()
    assert bench.batcher.submitted == 2
    assert reds[:11] == [100] * 11
    np.testing.assert_allclose(reds[10:16], [100, 120, 140, 160, 180, 200], atol=1e-4)
    assert reds[15:] == [200] * 11


def test_the_command_line_has_the_same_default() -> None:
    assert folder_options.DEFAULT_SIMILAR == DEFAULT_SIMILAR
