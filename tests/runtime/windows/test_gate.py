"""The gate on sound: pauses and silence are masked, clicks and gain change nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emorec_rt.bundle.manifest import Gate
from emorec_rt.constants import chunk_samples
from emorec_rt.windows.gate import SILENCE_DBFS, LevelGate, token_levels


def test_levels_are_the_power_of_what_a_token_hears() -> None:
    samples = np.random.default_rng(0).normal(0.0, 0.1, chunk_samples(20)).astype(np.float32)
    levels = token_levels(samples, 5, 10)
    for k in range(10):
        own = samples[320 * (5 + k) : 320 * (5 + k) + 400].astype(np.float64)
        assert levels[k] == pytest.approx(10 * np.log10(np.mean(own**2)), abs=1e-4)
    assert (token_levels(np.zeros(chunk_samples(4), np.float32), 0, 4) == SILENCE_DBFS).all()


def test_pauses_are_closed_and_speech_is_open() -> None:
    gate = LevelGate(Gate(range_db=30.0))
    levels = np.array([-20.0] * 10 + [-55.0] * 10 + [-45.0] * 10, np.float32)
    gate.add(levels)
    assert gate.open(levels).tolist() == [True] * 10 + [False] * 10 + [True] * 10


def test_a_click_does_not_close_the_gate() -> None:
    gate, clicked = LevelGate(Gate()), np.full(50, -30.0, np.float32)
    clicked[20] = 0.0
    gate.add(clicked)
    assert gate.open(np.array([-55.0], np.float32)).all()


def test_silence_is_closed_whatever_came_before() -> None:
    assert not LevelGate(Gate()).open(np.array([SILENCE_DBFS, -76.0], np.float32)).any()


def test_loudness_is_forgotten() -> None:
    gate = LevelGate(Gate(decay_db_per_second=1.0))
    gate.add(np.full(50, -10.0, np.float32))
    assert not gate.open(np.array([-50.0], np.float32)).any()
    gate.add(np.full(50 * 15, -50.0, np.float32))
    assert gate.open(np.array([-50.0], np.float32)).all()


@given(cuts=st.lists(st.integers(0, 200), max_size=5))
def test_blocks_do_not_matter(cuts: list[int]) -> None:
    levels = np.random.default_rng(1).uniform(-60, -10, 200).astype(np.float32)
    whole, cut = LevelGate(Gate()), LevelGate(Gate())
    whole.add(levels)
    for block in np.split(levels, sorted(cuts)):
        cut.add(block)
    assert (whole.open(levels) == cut.open(levels)).all()
