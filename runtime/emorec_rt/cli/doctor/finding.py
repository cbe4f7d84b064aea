"""One line of the doctor's report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "missing", "optional"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        name: What was looked for.
        state: ``ok``; ``missing`` when emorec can't run without it; ``optional`` when it could use it.
        detail: What was found.
        fix: The command that adds it; empty when there is nothing to do.
    """

    name: str
    state: State
    detail: str
    fix: str = ""
