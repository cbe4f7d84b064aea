"""How a program of ours ends on a signal."""

from __future__ import annotations

from typing import NoReturn


def leave(number: int, _frame: object) -> NoReturn:
    """End the process. An exception unwinds, so that no half-written file stays behind."""
    raise SystemExit(128 + number)
