"""Contents of an input, for the warnings at its end: faces, audible sound, and times that they share."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.windows.silence import OPEN_PEAK

SLACK_SECONDS = 0.5
"""Sound that ends so shortly before a frame still goes with it."""


@dataclass(slots=True)
class _Span:
    """Times from the first to the last of a kind of item."""

    first_seconds: float = np.inf
    last_seconds: float = -np.inf

    def add(self, first_seconds: float, last_seconds: float) -> None:
        self.first_seconds = min(self.first_seconds, first_seconds)
        self.last_seconds = max(self.last_seconds, last_seconds)

    def __str__(self) -> str:
        return f"{self.first_seconds:.1f} to {self.last_seconds:.1f} s"


@dataclass(slots=True)
class Presence:
    """Counts over the items of one input.

    Attributes:
        frames: Frames so far.
        faces: Frames with something to encode.
        blocks: Blocks of sound.
        audible: Blocks that are louder than digital silence.
    """

    frames: int = 0
    faces: int = 0
    blocks: int = 0
    audible: int = 0
    _pictured: _Span = field(default_factory=_Span)
    _heard: _Span = field(default_factory=_Span)

    def add(self, item: CroppedFrame | Samples) -> None:
        """Count an item."""
        start = item.pts_seconds
        if isinstance(item, CroppedFrame):
            self.frames += 1
            self.faces += item.crop.found
            self._pictured.add(start, start)
            return
        self.blocks += 1
        if len(item.pcm) and np.abs(item.pcm).max() >= OPEN_PEAK:
            self.audible += 1
        self._heard.add(start, start + len(item.pcm) / SAMPLE_RATE_HZ)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about the rows, a line each."""
        lines = []
        if self.frames and not self.faces:
            lines.append(f"no face in any of {self.frames} frames: the picture plays no part in the rows")
        if self.blocks and not self.audible:
            lines.append("the sound is silent from beginning to end: it plays no part in the rows")
        if self.frames and self.blocks and not self._meet():
            times = f"sound from {self._heard}, picture from {self._pictured}"
            lines.append(f"sound and picture never overlap ({times}): rows have the one or the other")
        return tuple(lines)

    def _meet(self) -> bool:
        heard, pictured = self._heard, self._pictured
        return (
            heard.first_seconds <= pictured.last_seconds + SLACK_SECONDS
            and pictured.first_seconds <= heard.last_seconds + SLACK_SECONDS
        )
