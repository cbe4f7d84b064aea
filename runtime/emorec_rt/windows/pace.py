"""Pace of an input that has to keep up with time, on a machine that is too slow for all of it.

Late rows are worth little. The encoders' time for each second of the input is measured; where it is more than
there is, frames are encoded and chunks of sound cut less often, until it fits. Rows stay one for each frame.
Frames are thinned out further than sound: rows wait for a chunk, and few frames say nearly what all do.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

LATE_SECONDS: Final = 0.5
"""A frame that is older than this when its turn comes gives way to newer ones."""

MEASURED_SECONDS: Final = 1.0
"""Time, and part of the input, after which the pace is set anew."""

USED_SHARE: Final = 0.8
"""Share of the time that the encoders may take; the rest is for what else the machine does."""

LONGEST_STRETCH: Final = 16.0
LARGEST_STEP: Final = 4.0
SPEED_UP_SHARE: Final = 0.5
"""Share of the way to a faster pace that is gone at once: a slower one is needed sooner than a faster one."""

SOUND_STRETCH: Final = 4.0
"""Chunks that are cut less often than this make rows late, or come too late for them."""

FLUSH_SECONDS: Final = 0.2
"""A batch that isn't full waits no longer than this, by the schedule."""

IDLE_ITEMS: Final = 25
"""After so many items that nothing waited behind, it isn't the encoders that are late."""

FULL_SHARE: Final = 0.95
FULL_STEP: Final = 1.5
"""Above this share there is no time left, and what was passed over meanwhile isn't in the measure."""

STUCK_SECONDS: Final = 10.0
"""Too slow for so long although nothing more can be left out: no pace will do."""


class Pace:
    """The pace of one input.

    Whoever takes items calls ``note`` for each picture (of sound alone: each block) when its turn comes,
    ``begin`` before the work on any item or on a pause, and ``rest`` after it.

    Args:
        speed: Seconds of the input that are to be done in a second; a live source has 1.
        now: Monotonic time in seconds.

    Attributes:
        stretch: How many times less often than scheduled frames are encoded; 1 leaves nothing out.
        longest: The largest ``stretch`` so far.
        behind: Whether the item whose turn it is came late while newer ones wait.
        sound_missed: Whether rows went without their sound since the pace was set, because it took too long.
    """

    def __init__(self, speed: float = 1.0, now: Callable[[], float] = time.monotonic) -> None:
        self.stretch = 1.0
        self.longest = 1.0
        self.behind = False
        self.sound_missed = False
        self._speed = speed
        self._now = now
        self._set_at = self._flushed_at = self._begun_at = now()
        self._first: tuple[float, float] | None = None  # when the first item came, and its time
        self._pts_seconds: float | None = None  # of the newest item
        self._media_seconds = 0.0  # of the input, since the pace was set
        self._busy_seconds = 0.0
        self._alone = 0  # items in a row that nothing waited behind
        self._stuck_since: float | None = None
        self._told = False

    @property
    def sound_stretch(self) -> float:
        """How many times less often than scheduled chunks are cut."""
        return max(min(self.stretch, SOUND_STRETCH), self.stretch - SOUND_STRETCH)

    @property
    def idle(self) -> bool:
        """Whether the encoders wait for pictures, not pictures for them."""
        return self._alone > IDLE_ITEMS

    def lateness_seconds(self, pts_seconds: float) -> float:
        """How far a file's item is behind ``speed``, from the first item on; below 0 where it is ahead."""
        if self._first is None:
            self._first = self._now(), pts_seconds
        return self._now() - self._first[0] - (pts_seconds - self._first[1]) / self._speed

    def note(self, pts_seconds: float, age_seconds: float, *, newest: bool = False) -> None:
        """Take the time and the age of the item whose turn it is, and whether none waits behind it."""
        late = age_seconds > LATE_SECONDS
        self.behind = late and not newest
        self._alone = self._alone + 1 if newest else 0
        if self._pts_seconds is not None:
            self._media_seconds += min(max(pts_seconds - self._pts_seconds, 0.0), 1.0) / self._speed
        self._pts_seconds = pts_seconds
        if min(self._now() - self._set_at, self._media_seconds) >= MEASURED_SECONDS:
            self._set(late)

    def begin(self) -> None:
        """Begin to work."""
        self._begun_at = self._now()

    def rest(self) -> None:
        """Wait for the next item."""
        self._busy_seconds += self._now() - self._begun_at

    def gives_up(self) -> bool:
        """Whether it has been too slow for long although nothing more can be left out; true once."""
        stuck = self._stuck_since is not None and self._now() - self._stuck_since > STUCK_SECONDS
        told, self._told = self._told, self._told or stuck
        return stuck and not told

    def flush_due(self) -> bool:
        """Say whether batches have waited for long enough; asking counts as flushing."""
        now = self._now()
        due = now - self._flushed_at >= FLUSH_SECONDS
        if due:
            self._flushed_at = now
        return due

    def _set(self, late: bool) -> None:
        """Set the pace by what the encoders took for the part of the input since it was set."""
        used = self._busy_seconds / self._media_seconds
        full = used > FULL_SHARE
        self._stick((full and self.stretch == LONGEST_STRETCH) or self.sound_missed or (late and self.idle))
        step = min(max(used / USED_SHARE, FULL_STEP if full else 0.0), LARGEST_STEP)
        self.stretch *= step if step > 1.0 else step**SPEED_UP_SHARE
        self.stretch = min(max(self.stretch, 1.0), LONGEST_STRETCH)
        self.longest = max(self.longest, self.stretch)
        self._set_at, self._media_seconds, self._busy_seconds = self._now(), 0.0, 0.0
        self.sound_missed = False

    def _stick(self, stuck: bool) -> None:
        if not stuck:
            self._stuck_since = None
        elif self._stuck_since is None:
            self._stuck_since = self._now()
