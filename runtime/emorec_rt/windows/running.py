"""Running normalisation: vectors centred and scaled by what came before them from the same voice or face.

A voice's pitch and timbre, and a face's shape, say who someone is; what differs from their own average says
how they feel. The average is that of everything up to the end of the window that is cut, never of what comes
after it, so that a file and a live source are treated alike. With little evidence it stays close to the
training's statistics::

    mean     = (n * seen_mean     + prior_count * training_mean    ) / (n + prior_count)
    variance = (n * seen_variance + prior_count * training_variance) / (n + prior_count)

``n`` counts vectors, and older ones fade: it never exceeds ``memory_count``, so that the training's share is
never below ``prior_count / (memory_count + prior_count)``, however long one mood lasts.

Reset: each input starts anew, and so does each person in it. Silence, gaps, stretches without a face and a
live source that is connected again keep what is known.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Statistics


class RunningNorm:
    """Mean and variance of the vectors of one stream so far.

    The result depends on the vectors and their order, not on how they are cut into blocks.

    Args:
        prior: The training's statistics and how much they weigh.
    """

    def __init__(self, prior: Statistics) -> None:
        self._mean = np.asarray(prior.mean, np.float64)
        self._variance = np.asarray(prior.deviation, np.float64) ** 2
        self._prior_count = prior.prior_count
        self._keep = 1.0 - 1.0 / prior.memory_count
        self._count = 0.0
        self._sum = np.zeros_like(self._mean)  # of differences to the training's mean, and of their squares
        self._squares = np.zeros_like(self._mean)

    @property
    def count(self) -> float:
        """Evidence so far in vectors, faded."""
        return self._count

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Take vectors in their order, float32 ``[N, D]``."""
        if not len(vectors):
            return
        weights = self._keep ** np.arange(len(vectors) - 1, -1, -1.0)
        faded = self._keep ** len(vectors)
        centred = vectors - self._mean
        self._count = faded * self._count + weights.sum()
        self._sum = faded * self._sum + weights @ centred
        self._squares = faded * self._squares + weights @ centred**2

    def apply(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Centre and scale vectors, float32 ``[N, D]`` to the same."""
        total = self._count + self._prior_count
        shift = self._sum / total
        seen = self._squares - self._sum**2 / max(self._count, 1.0)  # n times the variance seen
        variance = (np.maximum(seen, 0.0) + self._prior_count * self._variance) / total
        return np.asarray((vectors - self._mean - shift) / np.sqrt(variance), np.float32)
