"""Ranges from values, against NumPy on everything at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from emorec_calib.errors import CalibrationError
from emorec_calib.observers import METHODS, MinMax, Percentile, check_finite

BATCHES = st.lists(
    arrays(np.float32, st.integers(1, 20), elements=st.floats(-1e4, 1e4, width=32)), min_size=1, max_size=5
)


@given(batches=BATCHES)
def test_minmax_is_exact(batches: list[NDArray[np.float32]]) -> None:
    observer = MinMax()
    for batch in batches:
        observer.update(batch)
    everything = np.concatenate(batches)
    found = observer.range()
    assert (found.low, found.high) == (everything.min(), everything.max())
    assert found.magnitude == np.abs(everything).max()


@pytest.mark.parametrize("keep", [0.9, 0.99, 0.9999])
def test_percentile_as_numpy(keep: float) -> None:
    rng = np.random.default_rng(0)
    batches = [rng.laplace(scale=scale, size=20_000).astype(np.float32) for scale in (0.1, 1.0, 5.0)]
    observer = Percentile(keep)
    for batch in batches:
        observer.update(batch)
    magnitudes = np.abs(np.concatenate(batches))
    expected = np.quantile(magnitudes, keep)
    assert observer.range().magnitude == pytest.approx(
        expected, abs=2 * float(magnitudes.max()) / Percentile.BINS
    )


def test_percentile_ignores_a_rare_outlier_and_minmax_does_not() -> None:
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    values[7] = 1000.0
    for name, largest in (("percentile", 10.0), ("minmax", 1001.0)):
        observer = METHODS[name]()
        observer.update(values)
        assert 3.0 < observer.range().magnitude < largest
    assert observer.range().high == 1000.0


@pytest.mark.parametrize("method", METHODS)
def test_zeros_and_empty_batches(method: str) -> None:
    observer = METHODS[method]()
    observer.update(np.zeros((2, 3), np.float32))
    observer.update(np.zeros((0, 3), np.float32))
    assert observer.range().low <= 0.0 <= observer.range().high


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_non_finite_values_are_refused(bad: float) -> None:
    with pytest.raises(CalibrationError, match=r"tensor x .* non-finite"):
        check_finite("tensor x", np.array([0.0, bad], np.float32))
