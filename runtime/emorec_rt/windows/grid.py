"""The time grid: which frame stands for which step.

With a fixed rate, step ``k`` lies at ``first frame + k / rate`` and takes the nearest frame; a step further
than ``HOLD_SECONDS`` from any frame is empty. On a native grid every frame is a step. Either way a step's
time is a presentation time, so variable frame rates come out right.
"""

from __future__ import annotations

from dataclasses import dataclass

from emorec_rt.bundle.manifest import Grid

HOLD_SECONDS = 0.1
"""A step may take a frame this far away; beyond, the picture is missing."""

LEAP_SECONDS = 5.0
"""A hole in the video longer than this is leapt over rather than filled with empty steps."""

DEFAULT_RATE_HZ = 25.0
"""Rate of the grid where nothing else sets it: sound without video on a native grid."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the grid.

    Attributes:
        time_seconds: Its presentation time.
        frame: Index of the frame that stands for it; ``None`` where the picture is missing.
    """

    time_seconds: float
    frame: int | None


class FrameGrid:
    """Assign frames to steps as they come, in presentation order."""

    def __init__(self, grid: Grid) -> None:
        self._period = None if grid.rate_hz is None else 1.0 / grid.rate_hz
        self._origin = 0.0
        self._count = 0
        self._last: tuple[int, float] | None = None

    def push(self, frame: int, pts_seconds: float) -> list[Step]:
        """Add a frame; return the steps up to its time, which are now decided."""
        if self._period is None:
            return [Step(pts_seconds, frame)]
        if self._last is None or pts_seconds - self._last[1] > LEAP_SECONDS:
            steps = [Step(pts_seconds, frame)]
            self._origin, self._count = pts_seconds, 1
        else:
            steps = self._between(self._last, (frame, pts_seconds))
        self._last = (frame, pts_seconds)
        return steps

    def _between(self, before: tuple[int, float], after: tuple[int, float]) -> list[Step]:
        assert self._period is not None  # noqa: S101 - native grids never come here
        steps = []
        while (time := self._origin + self._count * self._period) <= after[1]:
            frame, pts = before if time - before[1] <= after[1] - time else after
            steps.append(Step(time, frame if abs(time - pts) <= HOLD_SECONDS else None))
            self._count += 1
        return steps


class SoundGrid:
    """Steps for sound without video: one for each period in which there is sound, none with a frame."""

    def __init__(self, grid: Grid) -> None:
        self._period = 1.0 / (grid.rate_hz or DEFAULT_RATE_HZ)
        self._next: float | None = None
        self._origin = 0.0
        self._count = 0

    def push(self, start_seconds: float, end_seconds: float) -> list[Step]:
        """Add a run of sound ``[start, end)``; return the steps inside it."""
        if self._next is None or start_seconds - self._next > LEAP_SECONDS:
            self._origin, self._count = start_seconds, 0
        steps = []
        while (time := self._origin + self._count * self._period) < end_seconds:
            steps.append(Step(time, None))
            self._count += 1
        self._next = time
        return steps
