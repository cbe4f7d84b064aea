"""Ending a process on a signal, so that nothing half-written stays behind."""

from __future__ import annotations

from typing import NoReturn


def end_on_signal(number: int, _frame: object) -> NoReturn:
    """Handle a signal by an exception, which unwinds; the exit code is what a shell reports."""
    raise SystemExit(128 + number)
