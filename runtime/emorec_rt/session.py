"""Run jobs: events of the recogniser into files, with progress, and an account at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from emorec_rt.errors import EmorecError, OutputError
from emorec_rt.inputs import STDOUT, Job
from emorec_rt.recognizer import Done, Event, Failed, Recognizer, Row, Started
from emorec_rt.writers import FORMATS, WholeFile

BAR_STEPS = 1000
"""Resolution of the progress bar for one input."""


class _Sink(Protocol):
    def write(self, text: str) -> None: ...
    def commit(self) -> None: ...
    def discard(self) -> None: ...


class _Stdout:
    """Standard output, a line at a time, so that whoever reads it is never behind."""

    def write(self, text: str) -> None:
        try:
            sys.stdout.write(text)
            sys.stdout.flush()
        except OSError as error:
            raise OutputError("standard output", f"can't be written ({error.strerror})") from error

    def commit(self) -> None: ...

    def discard(self) -> None: ...


@dataclass
class Account:
    """What came of a call.

    Attributes:
        inputs: Inputs that were run.
        failed: Inputs that failed.
        rows: Rows written.
        media_seconds: Media time of the rows, first to last of each input.
        wall_seconds: Time it took, engines already loaded.
    """

    inputs: int = 0
    failed: int = 0
    rows: int = 0
    media_seconds: float = 0.0
    wall_seconds: float = 0.0

    def summary(self) -> str:
        """One line for a person."""
        done = self.inputs - self.failed
        speed = self.media_seconds / self.wall_seconds if self.wall_seconds > 0 else 0.0
        failed = f", {self.failed} failed" if self.failed else ""
        return (
            f"{done} of {self.inputs} input{'s' * (self.inputs != 1)} done{failed}: {self.rows} rows, "
            f"{self.media_seconds:.1f} s of media in {self.wall_seconds:.1f} s ({speed:.1f}x real time)"
        )


@dataclass
class _Open:
    """An input whose rows are being written."""

    job: Job
    sink: _Sink
    row: Callable[..., str]
    duration_seconds: float | None
    first_seconds: float | None = None
    last_seconds: float = 0.0


@dataclass
class Session:
    """Writes the events of one call.

    Args:
        recognizer: Loaded engines.
        jobs: Inputs and targets.
        complain: Called with a line for each input that failed or was damaged.
        progress: Called with how many of ``BAR_STEPS`` an input has come on.
    """

    recognizer: Recognizer
    jobs: Sequence[Job]
    complain: Callable[[str], None]
    progress: Callable[[int], None] = lambda _: None
    account: Account = field(default_factory=Account)
    _open: dict[Path, _Open] = field(default_factory=dict)
    _shown: int = 0
    _position: dict[Path, int] = field(init=False)

    def __post_init__(self) -> None:
        self._position = {job.source: index for index, job in enumerate(self.jobs)}

    def run(self) -> Account:
        """Run everything; what fails is said and counted, the rest is done."""
        started = time.perf_counter()
        self.account.inputs = len(self.jobs)
        jobs = {job.source: job for job in self.jobs}
        with ExitStack() as stack:
            stack.callback(self._discard_open)
            for event in self.recognizer.run(jobs):
                self._handle(jobs[event.source], event)
        self.account.wall_seconds = time.perf_counter() - started
        return self.account

    def _handle(self, job: Job, event: Event) -> None:
        try:
            if isinstance(event, Started):
                self._start(job, event)
            elif isinstance(event, Failed):
                self._fail(job, event.error)
            elif job.source not in self._open:
                return  # its output has failed before
            elif isinstance(event, Row):
                self._write(self._open[job.source], event)
            else:
                self._finish(self._open[job.source], event)
        except OutputError as error:
            self._fail(job, error)

    def _start(self, job: Job, event: Started) -> None:
        format_ = FORMATS[job.format](self.recognizer.labels, job.source.stem)
        sink: _Sink = _Stdout() if job.target == STDOUT else _whole_file(job.target)
        self._open[job.source] = _Open(job, sink, format_.row, event.duration_seconds)
        sink.write(format_.header())

    def _write(self, entry: _Open, event: Row) -> None:
        entry.sink.write(entry.row(event.prediction))
        time_seconds = event.prediction.time_seconds
        if entry.first_seconds is None:
            entry.first_seconds = time_seconds
        entry.last_seconds = time_seconds
        self.account.rows += 1
        if entry.duration_seconds:
            share = (time_seconds - entry.first_seconds) / entry.duration_seconds
            self._show(entry.job, min(max(share, 0.0), 1.0))

    def _finish(self, entry: _Open, event: Done) -> None:
        entry.sink.commit()
        del self._open[entry.job.source]
        if entry.first_seconds is not None:
            self.account.media_seconds += entry.last_seconds - entry.first_seconds
        for warning in event.warnings:
            self.complain(f"warning: {entry.job.source}: {warning}")
        self._show(entry.job, 1.0)

    def _fail(self, job: Job, error: EmorecError) -> None:
        entry = self._open.pop(job.source, None)
        if entry is not None:
            entry.sink.discard()
        self.account.failed += 1
        self.complain(f"error: {error}")
        self._show(job, 1.0)

    def _show(self, job: Job, share: float) -> None:
        reached = int((self._position[job.source] + share) * BAR_STEPS)
        if reached > self._shown:
            self.progress(reached - self._shown)
            self._shown = reached

    def _discard_open(self) -> None:
        for entry in self._open.values():
            entry.sink.discard()


def _whole_file(path: Path) -> WholeFile:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(path.parent, f"can't be made ({error.strerror})") from error
    return WholeFile(path)
