"""Ranking layers, and the search for the largest set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import rel_entr, softmax

from emorec_export.mixed import int8_recipe, kept
from emorec_export.recipe import LINEAR_OPS
from emorec_export.report import LayerSensitivity
from emorec_export.sensitivity import CachedEngine, mean_divergence, most_layers
from emorec_rt.engines.base import Engine


@given(losses=st.lists(st.floats(0.0, 1.0), max_size=40), max_drop=st.floats(0.0, 1.0))
def test_bisection_finds_the_largest_set(losses: list[float], max_drop: float) -> None:
    drops = np.cumsum([0.0, *losses])  # grows with every layer
    asked: list[int] = []

    def drop(count: int) -> float:
        asked.append(count)
        return float(drops[count])

    expected = max(count for count in range(len(drops)) if drops[count] <= max_drop)
    assert most_layers(len(losses), drop, max_drop) == expected
    assert len(asked) <= 8


def test_divergence_as_scipy() -> None:
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((20, 8)).astype(np.float32) * 3 for _ in range(2))
    expected = rel_entr(softmax(left, axis=1), softmax(right, axis=1)).sum(axis=1).mean()
    assert mean_divergence(left, right) == pytest.approx(expected, rel=1e-5)
    assert mean_divergence(left, left) == 0.0


class _Counting(Engine):
    inputs = outputs = ()
    runs = 0

    def run(self, feeds: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        self.runs += 1
        return {"y": feeds["x"] * 2}


def test_nothing_is_computed_twice() -> None:
    counting = _Counting()
    engine = CachedEngine(counting)
    for value in (1.0, 2.0, 1.0):
        given_array = np.full((2, 2), value, np.float32)
        result = engine.run({"x": given_array})["y"]
        assert (result == 2 * value).all()
        result[:] = 0.0  # the caller owns it
    assert counting.runs == 2


def test_recipe_covers_the_variants_that_are_built() -> None:
    assert int8_recipe(["fp32", "int8"]).ops == LINEAR_OPS
    assert int8_recipe(["fp32", "fp16", "int8", "int8-fp16"]).ops == LINEAR_OPS


def test_kept_by_graph() -> None:
    layer = LayerSensitivity(graph="audio", layer="a", cosine=1.0, divergence=0.0, quantized=False)
    assert kept([layer]) == {"vision": frozenset(), "audio": {"a"}, "fusion": frozenset()}
