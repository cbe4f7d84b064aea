"""Pace of a live source on a machine that is too slow for its schedule.

Late rows are worth little. While rows come late, frames are encoded, chunks cut and windows fused less often;
once they come on time again, more often, until the schedule is kept. Rows stay one for each frame.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LATE_SECONDS: Final = 0.5
"""An item that is older than this when its turn comes is late."""

ON_TIME_SECONDS: Final = 0.15
SLOW_DOWN: Final = (1.5, 16.0)
"""Smallest and largest step to a slower pace; the later an item, the larger the step."""

SPEED_UP: Final = 0.8
SLOW_DOWN_SECONDS: Final = 0.5
"""Time until the effect of a slower pace shows."""

SPEED_UP_SECONDS: Final = 2.0
LONGEST_STRETCH: Final = 16.0
FLUSH_SECONDS: Final = 0.2
"""A batch that isn't full waits no longer than this, by the schedule."""


class Pace:
    """The pace of one live input.

    Args:
        now: Monotonic time in seconds.

    Attributes:
        stretch: How many times less often than scheduled to encode and fuse; 1 keeps the schedule.
        longest: The largest ``stretch`` so far.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.stretch = 1.0
        self.longest = 1.0
        self._now = now
        self._changed_at = self._flushed_at = now()

    def note(self, age_seconds: float) -> None:
        """Take the age of the item whose turn it is, from when it was read."""
        now = self._now()
        unchanged = now - self._changed_at
        if age_seconds > LATE_SECONDS and unchanged > SLOW_DOWN_SECONDS:
            step = min(max(age_seconds / (2 * LATE_SECONDS), SLOW_DOWN[0]), SLOW_DOWN[1])
            self._change(min(self.stretch * step, LONGEST_STRETCH), now)
        elif age_seconds > ON_TIME_SECONDS:
            self._changed_at = max(self._changed_at, now - SLOW_DOWN_SECONDS)
        elif unchanged > SPEED_UP_SECONDS:
            self._change(max(self.stretch * SPEED_UP, 1.0), now)

    def flush_due(self) -> bool:
        """Say whether batches have waited for long enough; asking counts as flushing."""
        now = self._now()
        due = now - self._flushed_at >= FLUSH_SECONDS * self.stretch
        if due:
            self._flushed_at = now
        return due

    def _change(self, stretch: float, now: float) -> None:
        self.stretch, self._changed_at = stretch, now
        self.longest = max(self.longest, stretch)
