"""Movement of a mouth from crop to crop: how much more than the rest of the face it changes."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

SIDE: Final = 56
_MOUTH: Final = (slice(33, 50), slice(16, 40))
_EYES: Final = (slice(12, 29), slice(12, 44))


class MouthMotion:
    """Measure one person's mouth; crops come in presentation order."""

    def __init__(self) -> None:
        self._before: NDArray[np.float32] | None = None

    def measure(self, crop: NDArray[np.uint8]) -> float:
        """Return the mouth's change since the last crop, uint8 ``[S, S, 3]``, in deviations of it."""
        grey = cv2.resize(cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        now = np.asarray(grey, np.float32)
        now = (now - now.mean()) / max(float(now.std()), 8.0)
        before, self._before = self._before, now
        if before is None:
            return 0.0
        now = _shifted_onto(before, now)
        change = np.abs(now - before)
        return max(float(change[_MOUTH].mean()) - float(change[_EYES].mean()), 0.0)


def _shifted_onto(before: NDArray[np.float32], now: NDArray[np.float32]) -> NDArray[np.float32]:
    """Undo the movement of the box between two crops, by the upper half of the face."""
    upper = slice(0, 30)
    window = cv2.createHanningWindow((SIDE, 30), cv2.CV_32F)
    (right, down), _ = cv2.phaseCorrelate(before[upper], now[upper], window)
    if abs(right) > 4 or abs(down) > 4:
        return now
    move = np.array([[1, 0, -right], [0, 1, -down]], np.float32)
    return np.asarray(cv2.warpAffine(now, move, (SIDE, SIDE), borderMode=cv2.BORDER_REPLICATE), np.float32)
