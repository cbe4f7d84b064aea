"""Labels by name and by time."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

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
