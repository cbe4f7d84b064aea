"""Steps against their definition: the nearest frame, at the step's own time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from emorec_rt.bundle.manifest import Grid
from emorec_rt.windows.grid import HOLD_SECONDS, FrameGrid, SoundGrid, Step

FRAME_GAPS = st.lists(st.floats(0.001, 0.5), min_size=1, max_size=60)


def steps_of(times: list[float], grid: Grid) -> list[Step]:
    frame_grid = FrameGrid(grid)
    return [step for frame, time in enumerate(times) for step in frame_grid.push(frame, time)]


@given(FRAME_GAPS, st.floats(-5, 100), st.sampled_from([10.0, 25.0, 30.0]))
def test_each_step_takes_the_nearest_frame(gaps: list[float], start: float, rate_hz: float) -> None:
    times = (start + np.cumsum(gaps)).tolist()
    steps = steps_of(times, Grid(rate_hz=rate_hz))
    for k, step in enumerate(steps):
        assert abs(step.time_seconds - (times[0] + k / rate_hz)) < 1e-6
        distances = np.abs(np.asarray(times) - step.time_seconds)
        if step.frame is None:
            assert distances.min() > HOLD_SECONDS
        else:
            assert distances[step.frame] <= distances.min() + 1e-9
    assert steps[-1].time_seconds <= times[-1] < steps[-1].time_seconds + 1 / rate_hz + 1e-6


@given(FRAME_GAPS)
def test_a_native_grid_is_the_frames(gaps: list[float]) -> None:
    times = np.cumsum(gaps).tolist()
    assert steps_of(times, Grid(rate_hz=None)) == [Step(time, frame) for frame, time in enumerate(times)]


def test_a_leap_in_time_makes_no_steps_inside() -> None:
    steps = steps_of([0.0, 0.04, 100_000.0, 100_000.04], Grid(rate_hz=25.0))
    assert len(steps) <= 5
    assert steps[-1].frame in {2, 3}


def test_sound_alone_has_a_step_for_each_period() -> None:
    grid = SoundGrid(Grid(rate_hz=25.0))
    steps = [step for k in range(10) for step in grid.push(k * 0.1, (k + 1) * 0.1)]
    np.testing.assert_allclose([step.time_seconds for step in steps], np.arange(25) / 25)
    assert all(step.frame is None for step in steps)
