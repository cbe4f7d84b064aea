"""One of the workers of a cluster: it holds a recogniser, and makes the results of an input at a time."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from emorec_ray.remote import RemoteFolder, moved
from emorec_ray.rows import COLUMN, Result, Task, in_unicode, pack, unpack
from emorec_rt.bundle import open_bundle
from emorec_rt.errors import EmorecError, UsageError
from emorec_rt.faces import keep_opencv_to_one_thread
from emorec_rt.jobs.journal import Journal, Record, settings_of
from emorec_rt.jobs.plan import Job
from emorec_rt.jobs.reporter import Reporter
from emorec_rt.jobs.session import Session
from emorec_rt.jobs.summary import Outcome
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.writers import OutputOptions

if TYPE_CHECKING:
    import pyarrow


@dataclass(frozen=True, slots=True)
class Work:
    """Settings that every worker is told once.

    Attributes:
        bundle: Folder of the bundle, the same on every machine; ``None`` is the default bundle.
        options: How to run it, the threads being this worker's share.
        output: How results are written.
        out_dir: The folder that the plan's targets lie below.
        remote: Address of the folder that they belong into; empty where ``out_dir`` is that folder.
        resume: Whether inputs are skipped whose results are there.
    """

    bundle: Path | None
    options: Options
    output: OutputOptions
    out_dir: Path
    remote: str = ""
    resume: bool = False


class _Collected(Reporter):
    """Keeps the lines about an input until it has ended."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


class Worker:
    """Takes rows of tasks, gives rows of results; its engines are loaded once."""

    def __init__(self, work: Work) -> None:
        keep_opencv_to_one_thread()
        self._work = work
        self._recognizer: Recognizer | None = None

    def __call__(self, rows: pyarrow.Table) -> pyarrow.Table:
        """Make the results of each row."""
        import pyarrow

        tasks = [unpack(data, Task) for data in rows[COLUMN].to_pylist()]
        return pyarrow.table({COLUMN: pyarrow.array([pack(self.result(task)) for task in tasks], "binary")})

    def result(self, task: Task) -> Result:
        """Make the results of an input; what goes wrong with it is its outcome."""
        try:
            self._load()
        except (EmorecError, ImportError, OSError) as error:
            return Result(task.number, None, refusal=str(error), misused=isinstance(error, UsageError))
        try:
            made = self._into_remote(task) if self._work.remote else self._run(task, task.job, task.record)
        except (EmorecError, OSError) as error:
            # An engine that has failed once may do so again: the next input gets new ones.
            self._recognizer = None
            outcome = Outcome(task.job.source, "failed", cause=str(error))
            made = Result(task.number, outcome, (f"error: {error}",))
        return in_unicode(made)

    def _load(self) -> Recognizer:
        if self._recognizer is None:
            self._recognizer = Recognizer(open_bundle(self._work.bundle), self._work.options)
        return self._recognizer

    def _into_remote(self, task: Task) -> Result:
        folder = RemoteFolder(self._work.remote)
        with tempfile.TemporaryDirectory(prefix="emorec-") as name:
            scratch = Path(name)
            job = moved(task.job, self._work.out_dir, scratch)
            record = folder.fetch(job, scratch) if self._work.resume else None
            made = self._run(task, job, record)
            if made.outcome is not None and made.outcome.status != "skipped":
                folder.store(job, scratch, made.record)
        return replace(made, record=None)

    def _run(self, task: Task, job: Job, record: Record | None) -> Result:
        journal = self._journal(job, record)
        if journal is not None and (skipped := journal.split([job])[1]):
            return Result(task.number, skipped[0])
        reporter = _Collected()
        totals = Session(self._load(), [job], reporter, self._work.output).run()
        outcome = totals.outcomes[0]
        noted = None if journal is None else _record(journal, job, outcome, reporter)
        return Result(task.number, outcome, tuple(reporter.lines), noted)

    def _journal(self, job: Job, record: Record | None) -> Journal | None:
        if not self._work.resume:
            return None
        journal = Journal(self._settings)
        journal.know(job, record)
        return journal

    @cached_property
    def _settings(self) -> str:
        return settings_of(self._work.bundle, self._work.options, self._work.output)


def _record(journal: Journal, job: Job, outcome: Outcome, reporter: Reporter) -> Record | None:
    try:
        return journal.record(job, outcome)
    except OSError as error:
        reporter.say(f"warning: {error}; --resume will do this input again")
        return None
