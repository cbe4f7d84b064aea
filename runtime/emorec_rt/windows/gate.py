"""Tokens that hold sound worth hearing: those near the loudest of late.

Pauses and background say nothing about a feeling, and differ from one recording to the next more than voices
do. Levels are compared with the loudest that lasted; a click doesn't count.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Gate
from emorec_rt.constants import TOKEN_HOP_SAMPLES, TOKEN_RATE_HZ, TOKEN_RECEPTIVE_SAMPLES

SILENCE_DBFS: Final = -120.0
"""Level of digital silence."""

LASTING_TOKENS: Final = 3
"""A level counts as loud when it lasts so long (60 ms)."""


def token_levels(samples: NDArray[np.float32], first: int, count: int) -> NDArray[np.float32]:
    """Level of what each token hears, float32 ``[count]`` in dBFS.

    Args:
        samples: A chunk, float32 ``[N]``.
        first: The first token asked for.
        count: How many.
    """
    energy = np.concatenate([[0.0], np.cumsum(samples.astype(np.float64) ** 2)])
    starts = TOKEN_HOP_SAMPLES * np.arange(first, first + count)
    power = (energy[starts + TOKEN_RECEPTIVE_SAMPLES] - energy[starts]) / TOKEN_RECEPTIVE_SAMPLES
    return np.asarray(10.0 * np.log10(np.maximum(power, 10.0 ** (SILENCE_DBFS / 10.0))), np.float32)


class LevelGate:
    """Decide which tokens of one track are open.

    Args:
        gate: The bundle's limits.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._decay_db = gate.decay_db_per_second / TOKEN_RATE_HZ
        self._loudest_dbfs = SILENCE_DBFS
        self._last = np.full(LASTING_TOKENS - 1, SILENCE_DBFS)

    def add(self, levels_dbfs: NDArray[np.float32]) -> None:
        """Take the levels of the next tokens, float32 ``[N]``."""
        count = len(levels_dbfs)
        if not count:
            return
        joined = np.concatenate([self._last, levels_dbfs])
        lasting = np.min([joined[k : k + count] for k in range(LASTING_TOKENS)], axis=0)
        ages = self._decay_db * np.arange(count - 1, -1, -1.0)
        self._loudest_dbfs = max(self._loudest_dbfs - self._decay_db * count, float(np.max(lasting - ages)))
        self._last = joined[count:]

    def open(self, levels_dbfs: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Say whether tokens of these levels count as sound, bool ``[N]``."""
        loudest = max(self._loudest_dbfs, self._gate.quiet_dbfs)
        threshold = max(loudest - self._gate.range_db, self._gate.floor_dbfs)
        return np.asarray(levels_dbfs > threshold)
