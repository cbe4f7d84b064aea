"""One call from its plan to its account: what is left to do, in this process or in several."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emorec_rt.cli.building import BuildProgress
from emorec_rt.cli.console import say
from emorec_rt.leaving import leave

if TYPE_CHECKING:
    from emorec_rt.account import Account, Outcome
    from emorec_rt.inputs import Job
    from emorec_rt.recognizer import Options, Recognizer
    from emorec_rt.resume import Journal


@dataclass(frozen=True, slots=True)
class Call:
    """What ``emorec-rt VIDEO...`` was asked for.

    Attributes:
        planned: Inputs and targets.
        bundle: Folder of the bundle; ``None`` is the demo bundle.
        options: How to run it.
        min_segment_seconds: Shortest subtitle.
        jobs: Processes; ``None`` is automatic.
        resume: Whether to keep a journal, and to skip what it says is done.
        note: Takes lines that are no errors.
        bar: Whether to show a progress bar.
    """

    planned: list[Job]
    bundle: Path | None
    options: Options
    min_segment_seconds: float
    jobs: int | None
    resume: bool
    note: Callable[[str], None]
    bar: bool

    def run(self) -> Account:
        """Do what is left to do.

        Raises:
            EmorecError: The bundle or its engines can't be used, or the options don't fit.
        """
        from emorec_rt.bundle import open_bundle

        if self.jobs not in (1, None):
            from emorec_rt.parallel import check_parallel

            check_parallel(self.planned)
        manifest = open_bundle(self.bundle).manifest
        if manifest.notice:
            self.note(f"note: {manifest.notice}")
        journal = self._journal() if self.resume else None
        left, skipped = journal.split(self.planned) if journal is not None else (self.planned, [])
        account = self._run(left, journal)
        account.outcomes.extend(skipped)
        account.inputs = len(self.planned)
        account.sort(job.source for job in self.planned)
        return account

    def _journal(self) -> Journal:
        from emorec_rt.resume import Journal, remove_leftovers
        from emorec_rt.run_settings import settings_of

        remove_leftovers(self.planned)
        return Journal(settings_of(self.bundle, self.options, self.min_segment_seconds))

    def _run(self, left: list[Job], journal: Journal | None) -> Account:
        from emorec_rt.account import Account

        if not left:
            return Account()
        settled = _ignore if journal is None else _noting(journal)
        with self._progress(len(left)) as progress:
            count = self._processes(left)
            return (
                self._here(left, settled, progress)
                if count == 1
                else self._there(left, settled, progress, count)
            )

    def _processes(self, left: list[Job]) -> int:
        from emorec_rt.errors import UsageError
        from emorec_rt.parallel import check_parallel, processes

        if self.jobs is None:
            try:
                check_parallel(left)
            except UsageError:
                return 1
        return processes(self.jobs, len(left))

    def _here(
        self, left: list[Job], settled: Callable[[Job, Outcome], None], progress: Callable[[int], None]
    ) -> Account:
        from emorec_rt.bundle import open_bundle
        from emorec_rt.faces import keep_opencv_to_one_thread
        from emorec_rt.recognizer import Recognizer
        from emorec_rt.session import Session
        from emorec_rt.sources import is_address

        keep_opencv_to_one_thread()
        building = BuildProgress()
        told = building if self.note is say else None
        try:
            recognizer = Recognizer(open_bundle(self.bundle), self.options, progress=told)
        finally:
            building.close()
        self._say_backend(recognizer.backend)
        if any(is_address(job.source) for job in left):
            _stop_on_signal(recognizer)
        return Session(recognizer, left, say, progress, self.min_segment_seconds, settled).run()

    def _there(
        self,
        left: list[Job],
        settled: Callable[[Job, Outcome], None],
        progress: Callable[[int], None],
        count: int,
    ) -> Account:
        from emorec_rt.parallel import Parallel, shared
        from emorec_rt.worker import Work

        task = Work(self.bundle, shared(self.options, count), self.min_segment_seconds)
        return Parallel(task, left, count, say, progress, settled, self._say_backend).run()

    def _say_backend(self, backend: str) -> None:
        from emorec_rt.engines import AUTO

        if self.options.backend == AUTO:
            self.note(f"note: backend {backend}")

    def _progress(self, jobs: int) -> AbstractContextManager[Callable[[int], None]]:
        from emorec_rt.session import BAR_STEPS

        if not self.bar:
            return nullcontext(lambda _: None)
        return _Bar(jobs * BAR_STEPS)


class _Bar:
    """A progress bar on standard error; entering it gives what moves it on."""

    def __init__(self, length: int) -> None:
        self._bar = click.progressbar(length=length, label="recognising", file=sys.stderr, show_pos=False)

    def __enter__(self) -> Callable[[int], None]:
        return self._bar.__enter__().update

    def __exit__(self, *error: Any) -> None:
        self._bar.__exit__(*error)


def _ignore(_job: Job, _outcome: Outcome) -> None: ...


def _noting(journal: Journal) -> Callable[[Job, Outcome], None]:
    """Keep the journal; where it can't be written, say so once: the results are there all the same."""
    from emorec_rt.errors import OutputError

    told = False

    def settled(job: Job, outcome: Outcome) -> None:
        nonlocal told
        try:
            journal.add(job, outcome)
        except OutputError as error:
            if not told:
                say(f"warning: {error}; --resume will do this input again")
            told = True

    return settled


def _stop_on_signal(recognizer: Recognizer) -> None:
    """The first signal ends a live source with all its finished rows; the next one ends the process.

    While nothing has been received yet, the first one does.
    """

    def stop(number: int, _frame: object) -> None:
        if not recognizer.receiving:
            raise SystemExit(128 + number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, leave)
        recognizer.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
