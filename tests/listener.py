"""A reporter that remembers everything it is told."""

from __future__ import annotations

from emorec_rt.jobs.plan import Job
from emorec_rt.jobs.reporter import Reporter
from emorec_rt.jobs.summary import Outcome


class Listener(Reporter):
    def __init__(self) -> None:
        self.backends: list[str] = []
        self.lines: list[str] = []
        self.steps: list[int] = []
        self.settled: list[tuple[str, str]] = []

    def loaded(self, backend: str) -> None:
        self.backends.append(backend)

    def say(self, line: str) -> None:
        self.lines.append(line)

    def advance(self, steps: int) -> None:
        self.steps.append(steps)

    def settle(self, job: Job, outcome: Outcome) -> None:
        self.settled.append((job.source.name, outcome.status))
