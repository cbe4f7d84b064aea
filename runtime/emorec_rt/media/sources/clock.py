"""One clock for a live source, over all its connections."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.media import Frame, MediaItem, Samples
from emorec_rt.media.video import MIN_STEP_SECONDS

KEEP_SECONDS: Final = 5.0
"""A sender's clock that comes back within this of the time that has passed has gone on, and is believed."""


class LiveClock:
    """Times from 0 at the first item, going on after each reconnection.

    A sender that goes on counting is believed, so that the gap is as long as it was; for one that starts
    again, the time that passed here is taken. Frames keep counting.
    """

    def __init__(self) -> None:
        self.end_seconds = 0.0
        self._offset_seconds: float | None = None
        self._floor_seconds: float | None = None
        self._rejoining = False
        self._away_seconds = 0.0
        self._frames = 0

    def reconnected(self, away_seconds: float) -> None:
        """The next item is the first of a new connection, ``away_seconds`` after the last of the old one."""
        self._rejoining = True
        self._away_seconds = away_seconds
        self._floor_seconds = self.end_seconds if self._offset_seconds is not None else None

    def place(self, item: MediaItem) -> MediaItem | None:
        """The item at its time; ``None`` for one from before the connection was lost."""
        seconds = item.pts_seconds + self._offset(item.pts_seconds)
        if self._floor_seconds is not None and seconds < self._floor_seconds:
            return None
        self.end_seconds = max(self.end_seconds, seconds + _length_seconds(item))
        if isinstance(item, Samples):
            return replace(item, pts_seconds=seconds)
        self._frames += 1
        return replace(item, index=self._frames - 1, pts_seconds=seconds)

    def _offset(self, raw_seconds: float) -> float:
        if self._offset_seconds is None:
            self._offset_seconds = -raw_seconds
        elif self._rejoining:
            gap = raw_seconds + self._offset_seconds - self.end_seconds
            if not 0.0 <= gap <= self._away_seconds + KEEP_SECONDS:
                self._offset_seconds += self._away_seconds - gap
        self._rejoining = False
        return self._offset_seconds


def _length_seconds(item: MediaItem) -> float:
    if isinstance(item, Samples):
        return len(item.pcm) / SAMPLE_RATE_HZ
    return MIN_STEP_SECONDS if isinstance(item, Frame) else 0.0
