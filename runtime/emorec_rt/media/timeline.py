"""From a stream's timestamps to presentation times that a consumer can rely on."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from emorec_rt.constants import ABSURD_SECONDS

RESTART_SECONDS: Final = 1.0
"""A clock that goes back by more than this was restarted (joined recordings)."""

LEAP_SECONDS: Final = 24 * 3600.0
"""A clock that goes ahead by more than this is damaged."""


class Timeline:
    """The clock of one stream.

    The container's own times are kept, its start time included. Only where they can't be true is a stream
    continued as if it had no timestamps: where there are none, after a restart, after a damaged leap.
    """

    def __init__(self, time_base: Fraction | None) -> None:
        self._time_base = time_base or Fraction(1)
        self._offset_seconds = 0.0

    def follow(self, pts: int, expected: float) -> float:
        """Continue at ``expected`` with ``pts``, and count what comes later from there."""
        self._offset_seconds = expected - float(pts * self._time_base)
        return expected

    def resolve(self, pts: int | None, *, earliest: float | None, expected: float) -> float:
        """Presentation time in seconds of a frame or a block of sound.

        Args:
            pts: Its timestamp in units of the stream's time base.
            earliest: Where the stream is now, in seconds; ``None`` at its start.
            expected: Its time if it follows its predecessor without a gap.
        """
        raw = None if pts is None else float(pts * self._time_base)
        if raw is None or abs(raw) > ABSURD_SECONDS:
            return expected
        if earliest is not None:
            ahead = raw + self._offset_seconds - earliest
            if not -RESTART_SECONDS <= ahead <= LEAP_SECONDS:
                self._offset_seconds = expected - raw
        return raw + self._offset_seconds
