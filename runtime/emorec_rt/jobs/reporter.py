"""Reports of a call while it goes on: lines for people, progress, the outcome of each input."""

from __future__ import annotations

from typing import Final

from emorec_rt.jobs.plan import Job
from emorec_rt.jobs.summary import Outcome

BAR_STEPS: Final = 1000
"""Resolution of the progress bar for one input."""


class Reporter:
    """Base of those who are told; by itself it tells nobody."""

    def loaded(self, backend: str) -> None:
        """The engines are loaded, in this backend."""

    def say(self, line: str) -> None:
        """An input or output failed, or was damaged."""

    def advance(self, steps: int) -> None:
        """An input has come on by so many of its ``BAR_STEPS``."""

    def settle(self, job: Job, outcome: Outcome) -> None:
        """Nothing more will come of an input."""
