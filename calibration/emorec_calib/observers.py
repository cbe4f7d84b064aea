"""From values to a range: one class a method, each in constant memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from emorec_calib import entropy
from emorec_calib.errors import CalibrationError
from emorec_calib.histogram import Histogram
from emorec_calib.ranges import Range

State = Mapping[str, NDArray[Any]]


class Keeper(Protocol):
    """Something that can be put aside and taken up again."""

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything it knows, as arrays."""
        ...

    def restore(self, state: State) -> None:
        """Go on from a state."""
        ...


class Observer(Keeper, Protocol):
    """Watches one tensor."""

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in a batch of values, of any shape."""
        ...

    def range(self) -> Range:
        """The range so far."""
        ...


class Max:
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

    def state(self) -> dict[str, NDArray[Any]]:
        """See ``Keeper.state``."""
        return {"edges": np.array([self._low, self._high])}

    def restore(self, state: State) -> None:
        """See ``Keeper.restore``."""
        self._low, self._high = state["edges"].tolist()


class _FromHistogram:
    """An observer that decides at the end, from a histogram."""

    def __init__(self) -> None:
        self._histogram = Histogram()
        self.update = self._histogram.add
        self.state = self._histogram.state
        self.restore = self._histogram.restore

    def _clipped(self, magnitude: float) -> Range:
        """A symmetric cut, but never wider than what was seen."""
        seen = self._histogram
        return Range(low=max(-magnitude, min(seen.low, 0.0)), high=min(magnitude, max(seen.high, 0.0)))


class Percentile(_FromHistogram):
    """Magnitude that all but the rarest values stay below.

    Args:
        keep: Share of the values that must stay inside.
    """

    def __init__(self, keep: float = 0.9999) -> None:
        super().__init__()
        self._keep = keep

    def range(self) -> Range:
        """See ``Observer.range``."""
        counts = self._histogram.magnitudes()
        cumulated = np.cumsum(counts)
        inside = int(np.searchsorted(cumulated, self._keep * cumulated[-1])) + 1
        return self._clipped(self._histogram.reach * inside / len(counts))


class Entropy(_FromHistogram):
    """Magnitude whose quantised histogram tells most about the whole one; see ``entropy``."""

    def range(self) -> Range:
        """See ``Observer.range``."""
        half = entropy.entropy_bin(self._histogram.coarse(entropy.BINS))
        return self._clipped(self._histogram.reach * half / (entropy.BINS // 2))


METHODS: Final[dict[str, Callable[[], Observer]]] = {
    "max": Max,
    "percentile": Percentile,
    "entropy": Entropy,
}
"""Every method by name. Recordings with loud outliers may gain by ``percentile`` or ``entropy``."""


class ChannelMax:
    """Largest magnitude of each channel, the last axis: what smoothing is computed from."""

    def __init__(self) -> None:
        self._magnitudes: NDArray[np.float32] = np.zeros(0, np.float32)

    def update(self, values: NDArray[np.float32]) -> None:
        """Take in a batch ``[..., C]``."""
        found = np.abs(values.reshape(-1, values.shape[-1])).max(axis=0, initial=0.0)
        self._magnitudes = np.maximum(self._magnitudes, found) if self._magnitudes.size else found

    def magnitudes(self) -> tuple[float, ...]:
        """One for each channel, to six digits: a file that people may read need not say more."""
        return tuple(float(f"{value:.6g}") for value in self._magnitudes.tolist())

    def state(self) -> dict[str, NDArray[Any]]:
        """See ``Keeper.state``."""
        return {"magnitudes": self._magnitudes}

    def restore(self, state: State) -> None:
        """See ``Keeper.restore``."""
        self._magnitudes = state["magnitudes"].astype(np.float32)


def check_finite(name: str, values: NDArray[np.float32]) -> None:
    """Refuse values that no range can hold.

    Raises:
        CalibrationError: There is a NaN or an infinity.
    """
    if not np.isfinite(values).all():
        raise CalibrationError(f"{name} has non-finite values; the FP32 model itself is broken on this data")
