"""From values to a range: one class a method, each in constant memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from emorec_calib.errors import CalibrationError
from emorec_calib.ranges import Range


class Observer(Protocol):
    """Watches one tensor."""

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in a batch of values, of any shape."""
        ...

    def range(self) -> Range:
        """The range so far."""
        ...


class MinMax:
    """Smallest and largest value: nothing is ever clipped."""

    def __init__(self) -> None:
        self._low = np.inf
        self._high = -np.inf

    def update(self, values: NDArray[np.float32]) -> None:
        """See ``Observer.update``."""
        if values.size:
            self._low = min(self._low, float(values.min()))
            self._high = max(self._high, float(values.max()))

    def range(self) -> Range:
        """See ``Observer.range``."""
        return Range(low=self._low, high=self._high)


class Percentile:
    """Magnitude that all but the rarest values stay below, from a histogram of magnitudes.

    The histogram doubles its reach, merging neighbouring bins, when a larger value comes.

    Args:
        keep: Share of the values that must stay inside.
    """

    BINS: Final = 4096

    def __init__(self, keep: float = 0.9999) -> None:
        self._keep = keep
        self._counts = np.zeros(self.BINS, np.int64)
        self._reach = 0.0
        self._low = np.inf

    def update(self, values: NDArray[np.float32]) -> None:
        """See ``Observer.update``."""
        if not values.size:
            return
        magnitudes = np.abs(values)
        self._low = min(self._low, float(values.min()))
        self._grow(float(magnitudes.max()))
        counts, _ = np.histogram(magnitudes, self.BINS, (0.0, self._reach))
        self._counts += counts

    def range(self) -> Range:
        """See ``Observer.range``."""
        cumulated = np.cumsum(self._counts)
        bin_index = int(np.searchsorted(cumulated, self._keep * cumulated[-1]))
        high = self._reach * (bin_index + 1) / self.BINS
        return Range(low=max(-high, min(self._low, 0.0)), high=high)

    def _grow(self, needed: float) -> None:
        if self._reach == 0.0:
            self._reach = needed or 1.0
        while self._reach < needed:
            merged = self._counts.reshape(-1, 2).sum(axis=1)
            self._counts = np.concatenate([merged, np.zeros(self.BINS // 2, np.int64)])
            self._reach *= 2.0


METHODS: Final[dict[str, Callable[[], Observer]]] = {"minmax": MinMax, "percentile": Percentile}
"""Every method by name. Recordings with loud outliers may gain by ``percentile``."""


def check_finite(name: str, values: NDArray[np.float32]) -> None:
    """Refuse values that no range can hold.

    Raises:
        CalibrationError: There is a NaN or an infinity.
    """
    if not np.isfinite(values).all():
        raise CalibrationError(f"{name} has non-finite values; the FP32 model itself is broken on this data")
