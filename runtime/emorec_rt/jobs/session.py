"""Run jobs: events of the recogniser into files, with progress, and totals at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from emorec_rt.errors import EmorecError, EngineError, MediaError
from emorec_rt.jobs.plan import Job, Output
from emorec_rt.jobs.reporter import BAR_STEPS, Reporter
from emorec_rt.jobs.summary import Outcome, Totals
from emorec_rt.media.sources import masked
from emorec_rt.recognizer.events import Done, Event, Failed, Row, Started
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.writers import (
    FORMATS,
    STDOUT,
    OutputOptions,
    ReaderGoneError,
    RereadingWriter,
    Target,
    Writer,
)
from emorec_rt.writers.digest import Digest, Summary

RECOGNISED_SHARE: Final = 0.7
"""Share of the bar for the rows of an input that is read a second time after them."""


@dataclass
class _Open:
    """An input whose rows are being written."""

    job: Job
    writers: list[tuple[Output, Writer]]
    recognised_share: float
    begun_seconds: float = field(default_factory=time.perf_counter)
    digest: Digest | None = None
    rows: int = 0
    duration_seconds: float | None = None
    summary: Summary | None = None
    first_seconds: float | None = None
    last_seconds: float = 0.0

    @property
    def media_seconds(self) -> float:
        """Media time of its rows, first to last."""
        return 0.0 if self.first_seconds is None else self.last_seconds - self.first_seconds

    def drop(self, output: Output) -> None:
        """Give up one result; the others go on."""
        for kept, writer in self.writers:
            if kept is output:
                writer.discard()
        self.writers = [entry for entry in self.writers if entry[0] is not output]


@dataclass
class Session:
    """Writes the events of one call.

    An output that fails is said and dropped; the input's other outputs and the other inputs go on. An input
    whose outputs can't be opened is never read.

    Args:
        recognizer: Loaded engines.
        jobs: Inputs and targets.
        reporter: Told of failures, progress and outcomes.
        output: How results are written.
    """

    recognizer: Recognizer
    jobs: Sequence[Job]
    reporter: Reporter = field(default_factory=Reporter)
    output: OutputOptions = field(default_factory=OutputOptions)
    totals: Totals = field(default_factory=Totals)
    _open: dict[Path, _Open] = field(default_factory=dict)
    _causes: dict[Path, str] = field(default_factory=dict)
    _stdout_lost: bool = False
    _begun: set[Path] = field(default_factory=set)
    _shown: int = 0
    _position: dict[Path, int] = field(init=False)

    def __post_init__(self) -> None:
        self._position = {job.source: index for index, job in enumerate(self.jobs)}

    def run(self) -> Totals:
        """Run everything; what fails is said and counted, the rest is done."""
        started = time.perf_counter()
        self.totals.inputs = len(self.jobs)
        with ExitStack() as stack:
            stack.callback(self._discard_open)
            while not self._run():
                self.recognizer.reload()
        self._give_up(self._later(), "not begun: the call was stopped")
        self.totals.wall_seconds = time.perf_counter() - started
        return self.totals

    def _run(self) -> bool:
        """Run what has not begun; say whether the engines held out.

        Raises:
            EngineError: They failed while nothing was under way.
        """
        try:
            for event in self.recognizer.run(self._sources()):
                self._handle(event)
                if self._nothing_left():
                    break  # what the recogniser may still do is for nobody
        except EngineError as error:
            if not self._open:
                raise
            self._lose_open(error)
            return not self._later()
        return True

    def _lose_open(self, error: EngineError) -> None:
        """Nothing more will come of the inputs that are under way; those after them may do better."""
        for source in list(self._open):
            self._handle(Failed(source, MediaError(source, f"not finished, {error}")))

    def _sources(self) -> Iterator[Path]:
        """Each input once its outputs are open, so that no work goes into results that have no place."""
        for job in self._later():
            self._begun.add(job.source)
            entry = _Open(job, [], RECOGNISED_SHARE if _rereads(job) else 1.0)
            entry.digest = Digest(self.recognizer.labels, self.output.min_segment_seconds)
            for output in job.outputs:
                self._attempt(entry, output, partial(self._open_writer, entry, output))
            if entry.writers:
                self._open[job.source] = entry
                yield job.source
            else:
                self._settle(entry)

    def _nothing_left(self) -> bool:
        """Say whether all results are there or lost; inputs that are yet to come count too."""
        if self._open:
            return False
        if self._stdout_lost:
            later = self._later()
            if all(output.target == STDOUT for job in later for output in job.outputs):
                self._give_up(later, "standard output takes no more")
                return True
        return len(self._begun) == len(self.jobs)

    def _later(self) -> list[Job]:
        return [job for job in self.jobs if job.source not in self._begun]

    def _give_up(self, jobs: Sequence[Job], cause: str) -> None:
        """Inputs that are never read; those whose reader has gone are missed by nobody."""
        self._begun.update(job.source for job in jobs)
        if self.totals.reader_gone:
            return
        for job in jobs:
            self._causes[job.source] = cause
            self._settle(_Open(job, [], 1.0))

    def _open_writer(self, entry: _Open, output: Output) -> None:
        target = Target(
            entry.job.source,
            output.target,
            self.recognizer.labels,
            self.output,
            self.recognizer.notice,
            self.recognizer.options.source.limits,
            self.recognizer.options.source.tracks,
            self.recognizer.options.source.part_seconds,
            self.recognizer.measures,
        )
        entry.writers.append((output, FORMATS[output.format].make(target)))

    def _handle(self, event: Event) -> None:
        entry = self._open.get(event.source)
        if entry is None:
            return  # its outputs have failed before
        if isinstance(event, Started):
            entry.duration_seconds = event.duration_seconds
            if event.live:
                for _, writer in entry.writers:
                    writer.go_live()
        elif isinstance(event, Row):
            self._write(entry, event)
        elif isinstance(event, Done):
            self._finish(entry, event)
        else:
            self._fail(entry, event)
        if not entry.writers:
            self._open.pop(event.source, None)
            self._settle(entry)

    def _write(self, entry: _Open, event: Row) -> None:
        for output, writer in list(entry.writers):
            self._attempt(entry, output, partial(writer.write, event.prediction))
        if entry.digest is not None:
            entry.digest.add(event.prediction)
        time_seconds = event.prediction.time_seconds
        if entry.first_seconds is None:
            entry.first_seconds = time_seconds
        entry.last_seconds = time_seconds
        entry.rows += 1
        if entry.duration_seconds:
            share = (time_seconds - entry.first_seconds) / entry.duration_seconds
            self._show(entry.job, entry.recognised_share * min(max(share, 0.0), 1.0))

    def _finish(self, entry: _Open, event: Done) -> None:
        self._show(entry.job, entry.recognised_share)
        # What takes long comes last.
        for output, writer in sorted(entry.writers, key=lambda pair: FORMATS[pair[0].format].rereads):
            self._attempt(entry, output, partial(self._complete, entry, writer))
        entry.writers.clear()
        entry.summary = entry.digest.finish() if entry.digest is not None else None
        for warning in (*event.warnings, *_doubts(entry.summary)):
            self.reporter.say(f"warning: {masked(entry.job.source)}: {warning}")

    def _complete(self, entry: _Open, writer: Writer) -> None:
        if isinstance(writer, RereadingWriter):
            rest = 1.0 - entry.recognised_share
            for share in writer.render():
                self._show(entry.job, entry.recognised_share + rest * share)
        writer.commit()

    def _fail(self, entry: _Open, event: Failed) -> None:
        for output, _ in list(entry.writers):
            entry.drop(output)
        self._fault(event.source, str(event.error))
        self.reporter.say(f"error: {event.error}")

    def _fault(self, source: Path, cause: str) -> None:
        self._causes.setdefault(source, cause)

    def _settle(self, entry: _Open) -> None:
        """Note what came of an input of which nothing more will come."""
        self._show(entry.job, 1.0)
        cause = self._causes.get(entry.job.source)
        outcome = Outcome(
            entry.job.source,
            "done" if cause is None else "failed",
            entry.rows,
            entry.media_seconds,
            time.perf_counter() - entry.begun_seconds,
            cause or "",
            entry.summary if cause is None else None,
        )
        self.totals.outcomes.append(outcome)
        self.reporter.settle(entry.job, outcome)

    def _attempt(self, entry: _Open, output: Output, action: Callable[[], None]) -> None:
        """Do something for one output; if that fails, say so and drop the output."""
        on_stdout = output.target == STDOUT
        if on_stdout and self._stdout_lost:
            self._drop(entry, output, "standard output takes no more")
            return
        try:
            action()
        except EmorecError as error:
            self._stdout_lost |= on_stdout
            self.totals.reader_gone |= isinstance(error, ReaderGoneError)
            self._drop(entry, output, _named(output, error))
            if not isinstance(error, ReaderGoneError):
                self.reporter.say(f"error: {_named(output, error)}")

    def _drop(self, entry: _Open, output: Output, cause: str) -> None:
        entry.drop(output)
        if not (output.target == STDOUT and self.totals.reader_gone):
            self._fault(entry.job.source, cause)

    def _show(self, job: Job, share: float) -> None:
        reached = int((self._position[job.source] + share) * BAR_STEPS)
        if reached > self._shown:
            self.reporter.advance(reached - self._shown)
            self._shown = reached

    def _discard_open(self) -> None:
        for entry in self._open.values():
            for _, writer in entry.writers:
                writer.discard()


def _rereads(job: Job) -> bool:
    return any(FORMATS[output.format].rereads for output in job.outputs)


def _named(output: Output, error: EmorecError) -> str:
    return f"{output.target}: not written, {error}" if isinstance(error, MediaError) else str(error)


def _doubts(summary: Summary | None) -> list[str]:
    if summary is None or not summary.unknown_rows:
        return []
    count = summary.unknown_rows
    what = "1 row has" if count == 1 else f"{count} rows have"
    return [f"{what} neither face nor sound: no emotion is told there (txt has a class all the same)"]
