from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.segments import DEFAULT_STEP_SECONDS, Segment, Segmenter

LABELS = ("a", "b", "c")

run_lengths = st.lists(st.tuples(st.sampled_from(LABELS), st.integers(1, 40)), min_size=1, max_size=30)
steps = st.sampled_from((0.02, 0.04, 0.1))


def frames(runs: list[tuple[str, int]], step: float, start: float = 5.0) -> list[Prediction]:
    labels = [label for label, count in runs for _ in range(count)]
    made = []
    for index, label in enumerate(labels):
        probabilities = np.full(3, 0.2, np.float32)
        probabilities[LABELS.index(label)] = 0.6
        made.append(Prediction(index, start + index * step, label, probabilities, True, True))
    return made


def segments(predictions: list[Prediction], min_seconds: float) -> list[Segment]:
    segmenter = Segmenter(LABELS, min_seconds)
    given_early = [segment for item in predictions for segment in segmenter.add(item)]
    return given_early + segmenter.finish()


@given(run_lengths, steps, st.sampled_from((0.0, 0.1, 0.5, 2.0)))
def test_segments_cover_everything_in_order(runs, step: float, min_seconds: float) -> None:
    predictions = frames(runs, step)
    found = segments(predictions, min_seconds)
    assert found[0].start_seconds == predictions[0].time_seconds
    last_step = step if len(predictions) > 1 else DEFAULT_STEP_SECONDS
    assert found[-1].end_seconds == pytest.approx(predictions[-1].time_seconds + last_step)
    for before, after in itertools.pairwise(found):
        assert before.end_seconds == after.start_seconds
        assert before.label != after.label
    for segment in found:
        assert segment.end_seconds > segment.start_seconds
        assert 0.0 <= segment.probability <= 1.0
        assert len(found) == 1 or segment.end_seconds - segment.start_seconds >= min_seconds


@given(run_lengths, steps)
def test_without_a_minimum_every_run_is_kept(runs, step: float) -> None:
    found = segments(frames(runs, step), 0.0)
    assert [s.label for s in found] == [label for label, _ in itertools.groupby(label for label, _ in runs)]
    assert all(s.probability == pytest.approx(0.6, abs=1e-6) for s in found)


@given(run_lengths)
def test_long_runs_keep_their_label(runs) -> None:
    predictions = frames(runs, 0.1)
    found = segments(predictions, 1.0)
    for label, group in itertools.groupby(predictions, key=lambda item: item.label):
        times = [item.time_seconds for item in group]
        if len(times) >= 12:  # over a second, rounding aside
            middle = times[len(times) // 2]
            assert next(s for s in found if s.start_seconds <= middle < s.end_seconds).label == label


def test_a_flicker_goes_to_the_neighbour_that_was_more_probable() -> None:
    predictions = frames([("a", 20), ("b", 2), ("c", 20)], 0.1)
    for item in predictions[20:22]:
        item.probabilities[:] = (0.1, 0.5, 0.4)
    assert [(s.label, round(s.start_seconds, 6)) for s in segments(predictions, 0.5)] == [
        ("a", 5.0),
        ("c", 7.0),
    ]


def test_the_probability_is_the_mean_over_all_frames_of_the_segment() -> None:
    (segment,) = segments(frames([("a", 15), ("b", 1), ("a", 14)], 0.1), 0.5)
    assert segment.probability == pytest.approx((29 * 0.6 + 0.2) / 30, abs=1e-6)


def test_hours_of_flicker_stay_bounded() -> None:
    segmenter = Segmenter(LABELS, 1e9)
    for item in frames([("a", 1), ("b", 1), ("c", 1)] * 2000, 0.04):
        segmenter.add(item)
    assert len(segmenter._group) < 257
    assert len(segmenter.finish()) == 1


def test_nothing_gives_nothing() -> None:
    assert Segmenter(LABELS, 0.5).finish() == []


def test_a_long_pause_does_not_stretch_the_last_frame() -> None:
    predictions = [*frames([("a", 10)], 0.1, start=0.0), *frames([("a", 1)], 0.1, start=60.0)]
    assert segments(predictions, 0.5)[-1].end_seconds == pytest.approx(60.1)
