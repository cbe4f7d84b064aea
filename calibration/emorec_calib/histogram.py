"""A histogram that is fed piece by piece, in constant memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

BINS: Final = 8192
"""Both signs together; an even number, so that no bin straddles zero."""

SMALLEST_REACH: Final = BINS * float(np.finfo(np.float32).tiny)
"""Below, the bins' edges are no numbers apart in float32."""


class Histogram:
    """Counts of values in equal bins from ``-reach`` to ``reach``.

    When a larger value comes, the reach doubles and neighbouring bins merge: nothing is counted twice or
    lost, and memory stays what it was.

    Attributes:
        counts: int64 ``[BINS]``.
        reach: Magnitude at the outer edges; 0 before the first value.
        low: Smallest value.
        high: Largest value.
    """

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, np.int64)
        self.reach = 0.0
        self.low = np.inf
        self.high = -np.inf

    def add(self, values: NDArray[np.float32]) -> None:
        """Count values of any shape."""
        if not values.size:
            return
        low, high = float(values.min()), float(values.max())
        self.low, self.high = min(self.low, low), max(self.high, high)
        self._grow(max(abs(low), abs(high)))
        self.counts += np.histogram(values, BINS, (-self.reach, self.reach))[0]

    def magnitudes(self) -> NDArray[np.int64]:
        """Counts of magnitudes, int64 ``[BINS / 2]``, from 0 to ``reach``."""
        half = BINS // 2
        return self.counts[half:] + self.counts[:half][::-1]

    def coarse(self, bins: int) -> NDArray[np.int64]:
        """The same counts in fewer bins, a divisor of ``BINS``."""
        return np.asarray(self.counts.reshape(bins, -1).sum(axis=1))

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything, as arrays; see ``restore``."""
        return {"counts": self.counts, "edges": np.array([self.reach, self.low, self.high])}

    def restore(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from a state."""
        self.counts = state["counts"].astype(np.int64)
        self.reach, self.low, self.high = state["edges"].tolist()

    def _grow(self, needed: float) -> None:
        if needed == 0.0:
            return  # np.histogram puts zeros into the middle, also of a reach that is 0
        if self.reach == 0.0:
            self.reach = max(needed, SMALLEST_REACH)
        while self.reach < needed:
            merged = self.counts.reshape(-1, 2).sum(axis=1)
            margin = np.zeros(BINS // 4, np.int64)
            self.counts = np.concatenate([margin, merged, margin])
            self.reach *= 2.0
