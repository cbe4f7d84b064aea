"""Steps of a build on standard error."""

from __future__ import annotations

import sys
import time
from typing import Final

import click

from emorec_rt.cli.console import is_terminal, say

_REDRAW_SECONDS: Final = 0.1
_WIDTH: Final = 100


class BuildProgress:
    """A build's steps on standard error: one line that is redrawn, or a line a phase where that is a file.

    Args:
        redraw: Whether standard error is a terminal; ``None`` looks.
    """

    def __init__(self, redraw: bool | None = None) -> None:
        self._redraw = is_terminal(sys.stderr) if redraw is None else redraw
        self._drawn_seconds = 0.0
        self._on_line = False
        self._phases: set[str] = set()

    def __call__(self, phase: str, done: int, steps: int) -> bool:
        """Show a step; a build always goes on."""
        if self._redraw:
            self._draw(f"{phase} {done}/{steps}")
        elif " > " not in phase and phase not in self._phases:
            self._phases.add(phase)
            say(f"  {phase}")
        return True

    def say(self, line: str) -> None:
        """Print a line that stays."""
        self.close()
        say(line)

    def close(self) -> None:
        """End the line, for what is printed next."""
        if self._on_line:
            click.echo(f"\r{'':{_WIDTH}}\r", err=True, nl=False)
        self._on_line = False
        self._phases.clear()

    def _draw(self, line: str) -> None:
        now = time.monotonic()
        if now - self._drawn_seconds >= _REDRAW_SECONDS:
            self._drawn_seconds = now
            self._on_line = True
            click.echo(f"\r{line[-_WIDTH:]:{_WIDTH}}", err=True, nl=False)
