"""Change of a face from frame to frame, as far as a few grey cells show it."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

CELLS: Final = 14
"""Crops are compared as this many grey cells on each side: noise averages out, a mouth that opens doesn't."""

SUDDEN_TIMES: Final = 3.0
SUDDEN_LEVELS: Final = 4.0
MEMORY: Final = 0.05
"""Weight of the newest frame in the usual change."""


class Change:
    """Changes of one face, and those that are sudden: larger than usual, and than noise."""

    def __init__(self) -> None:
        self._cells: NDArray[np.float32] | None = None
        self._usual: float | None = None

    def sudden(self, pixels: NDArray[np.uint8]) -> bool:
        """Take the next crop, uint8 ``[H, W, 3]``; say whether it differs suddenly from the one before.

        The measure is the mean difference of a cell, in grey levels of 255: more than ``SUDDEN_LEVELS``, and
        more than ``SUDDEN_TIMES`` its running mean.
        """
        cells = _cells(pixels)
        before, self._cells = self._cells, cells
        if before is None:
            return False
        moved = float(np.abs(cells - before).mean())
        usual = moved if self._usual is None else self._usual
        limit = max(SUDDEN_TIMES * usual, SUDDEN_LEVELS)
        self._usual = usual + MEMORY * (min(moved, limit) - usual)
        return moved > limit


def _cells(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(np.asarray(pixels), cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.resize(grey.astype(np.float32), (CELLS, CELLS), interpolation=cv2.INTER_AREA))
