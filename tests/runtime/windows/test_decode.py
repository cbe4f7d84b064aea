"""Stitching, smoothing and rows against NumPy on the whole clip."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.bundle.tasks import Tasks
from emorec_rt.windows.decode import FrameRow, RowBuilder, Settled, Smoother, Stitcher, side_by_side
from emorec_rt.windows.window import Window

T, C = 6, 2


def window(first: int, settles: int, steps: int = T) -> Window:
    return Window(
        first_step=first,
        steps=steps,
        settles=settles,
        times_seconds=(first + np.arange(T)) / 25,
        frame_embeddings=np.zeros((T, 1), np.float32),
        frame_mask=np.zeros(T, np.float32),
        audio_tokens=np.zeros((2 * T, 1), np.float32),
        audio_mask=np.ones(2 * T, np.float32),
    )


def logits(first: int) -> np.ndarray:
    return np.random.default_rng(first).standard_normal((T, C)).astype(np.float32)


def test_overlaps_are_weighted_by_distance_from_the_edge() -> None:
    stitcher = Stitcher(T)
    settled = [stitcher.add(window(0, 3), logits(0)), stitcher.add(window(3, 9), logits(3))]
    total, weight = np.zeros((9, C)), np.zeros((9, 1))
    ramp = np.array([1, 2, 3, 3, 2, 1])[:, None]
    for first in (0, 3):
        total[first : first + T] += logits(first) * ramp
        weight[first : first + T] += ramp
    np.testing.assert_allclose(np.concatenate([s.logits for s in settled]), total / weight, rtol=1e-5)
    np.testing.assert_allclose(np.concatenate([s.times_seconds for s in settled]), np.arange(9) / 25)


def test_a_tail_window_leaves_settled_steps_alone() -> None:
    stitcher = Stitcher(T)
    first = stitcher.add(window(0, 3), logits(0))
    tail = stitcher.add(window(1, 7), logits(1))
    assert len(first.logits) == 3
    assert len(tail.logits) == 4
    np.testing.assert_allclose(tail.logits[-1], logits(1)[-1], rtol=1e-6)


def settled(times: np.ndarray, values: np.ndarray) -> Settled:
    return Settled(times, values.astype(np.float32), np.ones(len(times), np.bool_))


@settings(deadline=None)
@given(
    st.lists(st.floats(0.01, 0.2), min_size=1, max_size=40),
    st.floats(0.0, 1.0),
    st.lists(st.integers(1, 39), max_size=6),
)
def test_smoothing_is_a_centred_mean(gaps: list[float], seconds: float, cuts: list[int]) -> None:
    times = np.cumsum(gaps)
    values = np.random.default_rng(0).standard_normal((len(times), C))
    smoother, given_steps = Smoother(seconds), []
    edges = [0, *sorted({cut for cut in cuts if cut < len(times)}), len(times)]
    for a, b in itertools.pairwise(edges):
        given_steps += smoother.add(settled(times[a:b], values[a:b]))
    given_steps += smoother.finish()
    near = np.abs(times[:, None] - times[None, :]) <= seconds / 2
    expected = near @ values / near.sum(axis=1, keepdims=True)
    np.testing.assert_allclose([time for time, *_ in given_steps], times)
    clear = ~np.isclose(np.abs(times[:, None] - times[None, :]), seconds / 2, atol=1e-6).any(axis=1)
    got = np.asarray([step for _, step, *_ in given_steps])
    np.testing.assert_allclose(got[clear], expected[clear], atol=1e-5)


@pytest.mark.parametrize("rate_hz", [10.0, 25.0, 59.94])
def test_rows_are_interpolated_at_each_frame(rate_hz: float) -> None:
    rows = RowBuilder(("a", "b"), Decoding())
    steps = np.arange(26) / 25
    values = np.stack([np.sin(steps), np.cos(steps)], axis=1)
    times = np.arange(0, 1, 1 / rate_hz)
    for index, time in enumerate(times.tolist()):
        rows.add_frame(FrameRow(index, time, face=True, box=None))
    predictions = rows.add(settled(steps, values)) + rows.finish()
    assert [p.index for p in predictions] == list(range(len(times)))
    expected = np.stack([np.interp(times, steps, values[:, k]) for k in range(2)], axis=1)
    expected = np.exp(expected) / np.exp(expected).sum(axis=1, keepdims=True)
    np.testing.assert_allclose([p.probabilities for p in predictions], expected, atol=1e-5)


def test_prior_correction_shifts_the_decision() -> None:
    rows = RowBuilder(("a", "b"), Decoding(logit_bias=(0.0, 1.0)))
    assert rows.add(settled(np.zeros(1), np.array([[0.5, 0.0]])))[0].label == "b"


def test_sound_alone_gives_a_row_for_each_step() -> None:
    rows = RowBuilder(("a", "b"), Decoding())
    predictions = rows.add(settled(np.arange(3) / 25, np.zeros((3, 2)))) + rows.finish()
    assert [(p.index, p.face, p.sound) for p in predictions] == [(k, False, True) for k in range(3)]


def test_what_stands_behind_the_logits_is_treated_as_they_are() -> None:
    tasks = Tasks(valence_arousal=True, action_units=("AU12",))
    decoding = Decoding(smoothing_seconds=0.1, logit_bias=(0.0, 1.0))
    rng = np.random.default_rng(0)
    times, logits = np.arange(20) / 25.0, rng.normal(size=(20, 2)).astype(np.float32)
    beside = rng.normal(size=(20, 3)).astype(np.float32)
    found = []
    for builder, values in (
        (RowBuilder(("a", "b"), decoding), logits),
        (RowBuilder(("a", "b"), decoding, tasks), side_by_side([logits, beside[:, :2], beside[:, 2:]])),
        (RowBuilder(("a", "b", "c"), Decoding(smoothing_seconds=0.1)), beside),
    ):
        for index, time in enumerate((times + 0.013).tolist()):
            builder.add_frame(FrameRow(index, time, face=True, box=None))
        found.append([*builder.add(Settled(times, values, np.ones(20, np.bool_))), *builder.finish()])
    plain, both, smoothed = found
    assert [row.probabilities.tolist() for row in plain] == [row.probabilities.tolist() for row in both]
    assert all(row.measures == {} for row in plain)
    for row, other in zip(both, smoothed, strict=True):
        valence, arousal, unit = row.measures["valence"], row.measures["arousal"], row.measures["AU12"]
        # The same three as logits of classes: their probabilities tell the differences.
        logs = np.log(other.probabilities.astype(np.float64))
        assert valence - arousal == pytest.approx(logs[0] - logs[1], abs=1e-5)
        assert np.log(unit / (1.0 - unit)) - valence == pytest.approx(logs[2] - logs[0], abs=1e-5)
