"""Progress and failures of a call, on standard error and in the journal."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from emorec_rt.cli.bar import Bar
from emorec_rt.cli.console import say
from emorec_rt.errors import OutputError
from emorec_rt.jobs.reporter import BAR_STEPS, Reporter

if TYPE_CHECKING:
    from emorec_rt.jobs.journal import Journal
    from emorec_rt.jobs.plan import Job
    from emorec_rt.jobs.summary import Outcome


class ConsoleReporter(Reporter):
    """Tells people by lines and a bar, and notes in the journal what is done.

    Args:
        inputs: Inputs that are to be done.
        journal: Takes what is done, if it is kept.
        tell_backend: Whether to say which backend was chosen.
        bar: Whether to show a progress bar.
    """

    def __init__(self, inputs: int, journal: Journal | None, *, tell_backend: bool, bar: bool) -> None:
        self._bar = Bar(inputs * BAR_STEPS) if bar else None
        self._journal = journal
        self._tell_backend = tell_backend
        self._journal_lost = False

    def loaded(self, backend: str) -> None:
        """Say which backend was chosen."""
        if self._tell_backend:
            say(f"note: backend {backend}")

    def say(self, line: str) -> None:
        """Print a line."""
        say(line)

    def advance(self, steps: int) -> None:
        """Move the bar."""
        if self._bar is not None:
            self._bar.advance(steps)

    def settle(self, job: Job, outcome: Outcome) -> None:
        """Note it in the journal; where that can't be written, say so once: the results are there anyway."""
        try:
            if self._journal is not None:
                self._journal.add(job, outcome)
        except OutputError as error:
            if not self._journal_lost:
                say(f"warning: {error}; --resume will do this input again")
            self._journal_lost = True

    def __enter__(self) -> ConsoleReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()
