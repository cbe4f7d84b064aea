"""Ranges from values, against NumPy on everything at once."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from emorec_calib.entropy import entropy_bin
from emorec_calib.errors import CalibrationError
from emorec_calib.histogram import BINS, Histogram
from emorec_calib.observers import METHODS, ChannelMax, Max, Percentile, check_finite

BATCHES = st.lists(
    arrays(np.float32, st.integers(1, 20), elements=st.floats(-1e4, 1e4, width=32)), min_size=1, max_size=5
)


@given(batches=BATCHES)
def test_max_is_exact(batches: list[NDArray[np.float32]]) -> None:
    observer = Max()
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
    assert observer.range().magnitude == pytest.approx(expected, abs=4 * float(magnitudes.max()) / BINS)


def test_percentile_ignores_a_rare_outlier_and_max_does_not() -> None:
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    values[7] = 1000.0
    for name, largest in (("percentile", 10.0), ("max", 1001.0)):
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


@given(batches=BATCHES)
def test_a_histogram_loses_nothing(batches: list[NDArray[np.float32]]) -> None:
    histogram = Histogram()
    for batch in batches:
        histogram.add(batch)
    everything = np.concatenate(batches)
    assert histogram.counts.sum() == histogram.magnitudes().sum() == histogram.coarse(64).sum()
    assert histogram.counts.sum() == everything.size
    assert histogram.reach >= np.abs(everything).max()
    inner = np.abs(everything) < histogram.reach / 2
    quarter = BINS // 4
    assert abs(int(histogram.counts[quarter:-quarter].sum()) - int(inner.sum())) <= (
        np.isclose(np.abs(everything), histogram.reach / 2, rtol=1e-3).sum()
    )


def _spread(kind: str) -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    if kind == "laplace":
        return rng.laplace(size=40_000).astype(np.float32)
    values = np.concatenate([rng.standard_normal(40_000), rng.standard_normal(20) * 30])
    return np.maximum(values, 0).astype(np.float32) if kind == "relu" else values.astype(np.float32)


@pytest.mark.parametrize("kind", ["laplace", "outliers", "relu"])
@pytest.mark.parametrize("bins", [256, 1024])
def test_entropy_as_onnxruntime(kind: str, bins: int) -> None:
    """The same counts through onnxruntime's calibrator give the same threshold."""
    from onnxruntime.quantization.calibrate import HistogramCollector

    values = _spread(kind)
    collector = HistogramCollector("entropy", True, bins, 128, 99.999, "same")
    collector.collect_value({"x": values})
    counts, edges = collector.histogram_dict["x"][:2]
    low, high = collector.get_entropy_threshold(collector.histogram_dict["x"], 128)[:2]
    kept = entropy_bin(counts)
    zero = bins // 2
    assert high == edges[min(zero + kept + 1, bins)] or high == values.max()
    assert low == edges[zero - kept] or low == values.min()


@pytest.mark.parametrize("method", ["percentile", "entropy"])
def test_a_rare_outlier_is_clipped(method: str) -> None:
    observer = METHODS[method]()
    values = np.random.default_rng(0).standard_normal(200_000).astype(np.float32)
    values[7] = 100.0
    observer.update(values)
    assert 2.0 < observer.range().magnitude < 50.0


@pytest.mark.parametrize("method", METHODS)
def test_a_method_goes_on_from_its_state(method: str) -> None:
    rng = np.random.default_rng(1)
    batches = [rng.laplace(scale=scale, size=5000).astype(np.float32) for scale in (0.5, 3.0)]
    whole, first, second = (METHODS[method]() for _ in range(3))
    for batch in batches:
        whole.update(batch)
    first.update(batches[0])
    second.restore(first.state())
    second.update(batches[1])
    assert second.range() == whole.range()


@pytest.mark.parametrize("method", METHODS)
def test_memory_does_not_grow(method: str) -> None:
    observer = METHODS[method]()
    observer.update(np.ones(10, np.float32))
    before = sum(array.nbytes for array in observer.state().values())
    for scale in range(1, 40):
        observer.update(np.full(1000, scale * 1.7, np.float32))
    assert sum(array.nbytes for array in observer.state().values()) == before


def test_channels_keep_their_own_maxima() -> None:
    observer = ChannelMax()
    observer.update(np.array([[[1.0, -5.0], [2.0, 0.0]]], np.float32))
    observer.update(np.array([[-3.0, 1.0]], np.float32))
    assert observer.magnitudes() == (3.0, 5.0)
