"""The range that loses least information when it is cut into few levels (Migacz, GTC 2017).

The same arithmetic as onnxruntime's entropy calibrator, so that the same counts give the same threshold.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

LEVELS: Final = 128
"""Levels that a candidate is cut into, both signs together: onnxruntime's default."""

BINS: Final = 2048
"""Bins of the histogram that candidates are drawn from."""

_SMOOTHING: Final = 1e-4
"""Taken from full bins and given to empty ones, or the divergence would be infinite."""


def entropy_bin(counts: NDArray[np.int64], levels: int = LEVELS) -> int:
    """Number of bins to keep on each side of zero.

    Args:
        counts: int64 ``[N]``, an even number of equal bins, symmetric about zero.
        levels: Levels that the kept bins are cut into.

    Returns:
        Between ``levels / 2`` and ``N / 2``: the first with the smallest Kullback-Leibler divergence of the
        clipped counts from their quantised form.
    """
    zero = len(counts) // 2
    cumulated = np.concatenate([[0], np.cumsum(counts)])
    halves = range(levels // 2, zero + 1)
    divergences = [_divergence(counts, cumulated, zero, half, levels) for half in halves]
    return halves[int(np.argmin(divergences))]


def _divergence(
    counts: NDArray[np.int64], cumulated: NDArray[np.int64], zero: int, half: int, levels: int
) -> float:
    start, end = zero - half, min(zero + half + 1, len(counts))
    inside = counts[start:end]
    clipped = inside.copy()
    clipped[0] += cumulated[start]
    clipped[-1] += cumulated[-1] - cumulated[end]
    p, q = _smoothed(clipped), _smoothed(_quantized(inside, clipped != 0, levels))
    if p is None or q is None:
        return float("inf")
    p, q = p / p.sum(), q / q.sum()
    return float((p * np.log(p / q)).sum())


def _quantized(inside: NDArray[np.int64], full: NDArray[np.bool_], levels: int) -> NDArray[np.int64]:
    """Each level's count spread over the bins of it that are not empty; bins past the last level get none."""
    width = len(inside) // levels
    body = levels * width
    sums = inside[:body].reshape(levels, width).sum(axis=1)
    sums[-1] += inside[body:].sum()
    filled = full[:body].reshape(levels, width).sum(axis=1)
    spread = np.where(filled > 0, sums / np.maximum(filled, 1), 0.0).astype(np.int64)
    return np.concatenate([np.repeat(spread, width), np.zeros(len(inside) - body, np.int64)])


def _smoothed(counts: NDArray[np.int64]) -> NDArray[np.float64] | None:
    empty = counts == 0
    full = len(counts) - int(empty.sum())
    if not full:
        return None
    taken = _SMOOTHING * int(empty.sum()) / full
    return np.asarray(np.where(empty, _SMOOTHING, counts - taken), np.float64)
