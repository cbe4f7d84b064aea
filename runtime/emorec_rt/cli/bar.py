"""A progress bar on standard error."""

from __future__ import annotations

import time
from typing import Final

import click

WIDTH: Final = 36
REDRAW_SECONDS: Final = 0.1
LEAST_SECONDS: Final = 3.0
"""Time from the first step until the time that is left is told: the first steps are slow."""


class Bar:
    """Share of the work that is done, and the time that is left; lines printed meanwhile take its place.

    Args:
        length: Steps of all inputs.
    """

    def __init__(self, length: int) -> None:
        self._length = max(length, 1)
        self._done = 0
        self._first_seconds: float | None = None
        self._drawn_seconds = 0.0

    def advance(self, steps: int) -> None:
        """Come on by so many steps."""
        now = time.monotonic()
        if self._first_seconds is None:
            self._first_seconds = now
        self._done += steps
        if now - self._drawn_seconds >= REDRAW_SECONDS or self._done >= self._length:
            self._drawn_seconds = now
            click.echo(f"\r{self.text(now - self._first_seconds)}", err=True, nl=False)

    def close(self) -> None:
        """End the line."""
        if self._first_seconds is not None:
            click.echo(err=True)

    def text(self, seconds: float) -> str:
        """The line after so many seconds."""
        share = min(self._done / self._length, 1.0)
        filled = "#" * round(WIDTH * share)
        left = f"  {_clock(seconds * (1 - share) / share)} left" if seconds >= LEAST_SECONDS and share else ""
        return f"recognising  [{filled:-<{WIDTH}}] {100 * share:4.0f} %{left:16}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
