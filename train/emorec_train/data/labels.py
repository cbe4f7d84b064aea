"""Labels by name and by time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.tasks import MEASURES

IGNORED: Final = -1
"""Label of a step that has none: ABAW's "not valid", padding, a class that the model doesn't have."""


def map_labels(
    labels: NDArray[np.int64], names: tuple[str, ...], model_labels: tuple[str, ...]
) -> NDArray[np.int64]:
    """A data set's label indices as the model's, by name: orders differ between data sets.

    Args:
        labels: int64 ``[F]``, index into ``names``, or negative for no label.
        names: The data set's classes.
        model_labels: The model's classes; what it lacks becomes ``IGNORED``.
    """
    order = [model_labels.index(name) if name in model_labels else IGNORED for name in names]
    table = np.array([*order, IGNORED], np.int64)
    return np.asarray(table[np.where(labels < 0, len(names), labels)])


def labels_at(
    times_seconds: NDArray[np.float64],
    label_times_seconds: NDArray[np.float64],
    labels: NDArray[np.int64],
    hold_seconds: float = 0.1,
) -> NDArray[np.int64]:
    """The label nearest to each time; ``IGNORED`` where none is within ``hold_seconds``."""
    if len(labels) == 0:
        return np.full(len(times_seconds), IGNORED, np.int64)
    right = np.clip(np.searchsorted(label_times_seconds, times_seconds), 1, max(len(labels) - 1, 1))
    candidates = np.stack([right - 1, np.minimum(right, len(labels) - 1)])
    distances = np.abs(label_times_seconds[candidates] - times_seconds)
    nearest = candidates[distances.argmin(axis=0), np.arange(len(times_seconds))]
    return np.where(distances.min(axis=0) <= hold_seconds, labels[nearest], IGNORED)


def no_measures(count: int) -> NDArray[np.float32]:
    """Measures of steps that have none, float32 ``[N, M]``."""
    return np.full((count, len(MEASURES)), np.nan, np.float32)


def taken(measures: NDArray[np.float32], places: NDArray[np.int64]) -> NDArray[np.float32]:
    """Measures ``[L, M]`` at some places, ``[N, M]``; none at ``IGNORED``."""
    rows = np.concatenate([measures, no_measures(1)])
    return np.asarray(rows[places])


@dataclass(frozen=True, slots=True)
class ClipLabels:
    """Labels of a clip over time.

    Attributes:
        labels: int64 ``[L]``, index into the model's labels, ``IGNORED`` where there is none.
        times_seconds: float64 ``[L]``, ascending: presentation time of each label; ``None`` where label ``k``
            is that of frame ``k``, whose time the decoder knows.
        hold_seconds: How far a label reaches.
        shares: float32 ``[L, C]``, share of each class where more than one is true; it needs times.
        measures: float32 ``[L, M]``, valence, arousal (-1 to 1) and action units (0 or 1) in the order of
            ``MEASURES``; NaN where one is missing.
    """

    labels: NDArray[np.int64]
    times_seconds: NDArray[np.float64] | None = None
    hold_seconds: float = 0.1
    shares: NDArray[np.float32] | None = None
    measures: NDArray[np.float32] | None = None

    @classmethod
    def whole(cls, label: int) -> ClipLabels:
        """One label for the clip from end to end."""
        return cls(np.array([label], np.int64), np.zeros(1), np.inf)

    def at(
        self, times_seconds: NDArray[np.float64], frame_times_seconds: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """The label at each time; ``frame_times_seconds`` are those of all frames, missing ones too."""
        return self._nearest(self.labels, times_seconds, frame_times_seconds)

    def measures_at(
        self, times_seconds: NDArray[np.float64], frame_times_seconds: NDArray[np.float64]
    ) -> NDArray[np.float32] | None:
        """Measures at each time, float32 ``[N, M]``; ``None`` where the clip has none."""
        if self.measures is None:
            return None
        places = self._nearest(np.arange(len(self.measures)), times_seconds, frame_times_seconds)
        return taken(self.measures, places)

    def _nearest(
        self,
        values: NDArray[np.int64],
        times_seconds: NDArray[np.float64],
        frame_times_seconds: NDArray[np.float64],
    ) -> NDArray[np.int64]:
        """The value ``[L]`` that holds at each time."""
        if self.times_seconds is not None:
            return labels_at(times_seconds, self.times_seconds, values, self.hold_seconds)
        count = min(len(values), len(frame_times_seconds))
        return labels_at(times_seconds, frame_times_seconds[:count], values[:count], self.hold_seconds)

    def shares_at(self, times_seconds: NDArray[np.float64]) -> NDArray[np.float32] | None:
        """Shares of the classes at each time, float32 ``[N, C]``; ``None`` where labels are all there is."""
        if self.shares is None or self.times_seconds is None:
            return None
        places = np.arange(len(self.labels))
        nearest = labels_at(times_seconds, self.times_seconds, places, self.hold_seconds)
        return self.shares[nearest]
