"""One call from its plan to its totals: what is left to do is done in this process, or in several."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from emorec_rt.cli.build_progress import BuildProgress
from emorec_rt.cli.console import say
from emorec_rt.cli.groups import similar_name
from emorec_rt.errors import printable
from emorec_rt.machine.signals import end_on_signal

if TYPE_CHECKING:
    from emorec_rt.jobs.journal import Journal
    from emorec_rt.jobs.plan import Job
    from emorec_rt.jobs.reporter import Reporter
    from emorec_rt.jobs.summary import Outcome, Totals
    from emorec_rt.recognizer.options import Options
    from emorec_rt.recognizer.recognizer import Recognizer
    from emorec_rt.writers import OutputOptions


@dataclass(frozen=True, slots=True)
class Call:
    """Values of the command line of ``emorec-rt VIDEO...``.

    Attributes:
        planned: Inputs and targets.
        bundle: Folder of the bundle; ``None`` is the default bundle.
        options: How to run it.
        output: How results are written.
        processes: Processes; ``None`` is automatic.
        resume: Whether to keep a journal, and to skip what it says is done.
        quiet: Whether to print errors only.
        bar: Whether to show a progress bar.
    """

    planned: list[Job]
    bundle: Path | None
    options: Options
    output: OutputOptions
    processes: int | None
    resume: bool
    quiet: bool
    bar: bool


def execute(call: Call) -> Totals:
    """Do what is left to do.

    Raises:
        EmorecError: The bundle or its engines can't be used, or the options don't fit.
    """
    from emorec_rt.jobs.summary import Totals

    _check_processes(call)
    if not call.quiet:
        tell_notice(call.bundle)
    journal = _open_journal(call) if call.resume else None
    present, missing = split_missing(call.planned)
    left, skipped = journal.split(present) if journal is not None else (present, [])
    totals = _run(call, left, journal) if left else Totals()
    totals.outcomes.extend([*skipped, *missing])
    totals.inputs = len(call.planned)
    totals.sort(job.source for job in call.planned)
    return totals


def tell_notice(bundle: Path | None) -> None:
    """Print what the bundle's maker wants every reader to know.

    Raises:
        BundleError: The bundle can't be used.
    """
    from emorec_rt.bundle import open_bundle

    manifest = open_bundle(bundle).manifest
    if manifest.notice:
        say(f"note: {manifest.notice}")


def _check_processes(call: Call) -> None:
    if call.processes not in (1, None):
        from emorec_rt.jobs.parallel import check_parallel

        check_parallel(call.planned)


def split_missing(planned: list[Job]) -> tuple[list[Job], list[Outcome]]:
    """Inputs that are there, and outcomes of the rest: told at once, before anything is loaded."""
    from emorec_rt.jobs.summary import Outcome
    from emorec_rt.media.sources import is_address

    present: list[Job] = []
    missing: list[Outcome] = []
    for job in planned:
        if is_address(job.source) or os.path.lexists(job.source) or ":/" in str(job.source):
            present.append(job)
            continue
        cause = f"{printable(str(job.source))}: no such file{_hint(job.source)}"
        say(f"error: {cause}")
        missing.append(Outcome(job.source, "failed", cause=cause))
    return present, missing


def _hint(path: Path) -> str:
    if meant := similar_name(path):
        return f"; did you mean {printable(meant)}?"
    return (
        "; a camera is /dev/video0, a stream rtsp://..." if path.name == str(path) and not path.suffix else ""
    )


def _open_journal(call: Call) -> Journal:
    from emorec_rt.jobs.journal import Journal, remove_leftovers, settings_of

    remove_leftovers(call.planned)
    return Journal(settings_of(call.bundle, call.options, call.output))


def _run(call: Call, left: list[Job], journal: Journal | None) -> Totals:
    from emorec_rt.cli.reporting import ConsoleReporter
    from emorec_rt.engines import AUTO

    automatic = call.options.backend == AUTO and not call.quiet
    with ConsoleReporter(len(left), journal, tell_backend=automatic, bar=call.bar) as reporter:
        count = _process_count(call, left)
        return _run_here(call, left, reporter) if count == 1 else _run_apart(call, left, reporter, count)


def _process_count(call: Call, left: list[Job]) -> int:
    from emorec_rt.errors import UsageError
    from emorec_rt.jobs.parallel import check_parallel, processes

    if call.processes is None:
        try:
            check_parallel(left)
        except UsageError:
            return 1
    return processes(call.processes, len(left))


def _run_here(call: Call, left: list[Job], reporter: Reporter) -> Totals:
    from emorec_rt.bundle import open_bundle
    from emorec_rt.faces import keep_opencv_to_one_thread
    from emorec_rt.jobs.session import Session
    from emorec_rt.media.sources import is_address
    from emorec_rt.recognizer.recognizer import Recognizer

    keep_opencv_to_one_thread()
    building = BuildProgress()
    try:
        shown = None if call.quiet else building
        recognizer = Recognizer(open_bundle(call.bundle), call.options, progress=shown)
    finally:
        building.close()
    reporter.loaded(recognizer.backend)
    if any(is_address(job.source) for job in left):
        _stop_on_signal(recognizer)
    return Session(recognizer, left, reporter, call.output).run()


def _run_apart(call: Call, left: list[Job], reporter: Reporter, count: int) -> Totals:
    from emorec_rt.jobs.parallel import Parallel, shared
    from emorec_rt.jobs.worker import Work
    from emorec_rt.recognizer.batchers import backend_of

    options = shared(call.options, count)
    backend_of(call.bundle, options)  # what has to be measured is, once, before the processes begin
    task = Work(call.bundle, options, call.output)
    return Parallel(task, left, count, reporter).run()


def _stop_on_signal(recognizer: Recognizer) -> None:
    """Let the first signal end a live source with all its finished rows, and the next one the process.

    While nothing has been received yet, the first one ends the process.
    """

    def stop(number: int, _frame: object) -> None:
        if not recognizer.receiving:
            raise SystemExit(128 + number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, end_on_signal)
        recognizer.stop()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
