"""A call from its plan to its totals, on a cluster."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from emorec_ray.cluster import Cluster, connected
from emorec_ray.passes import results
from emorec_ray.remote import RemoteFolder, is_remote
from emorec_ray.rows import Result, Task
from emorec_ray.worker import Work
from emorec_rt.cli.execution import split_missing
from emorec_rt.jobs.journal import Journal, Record, remove_leftovers
from emorec_rt.jobs.parallel import check_parallel
from emorec_rt.jobs.plan import Job, plan
from emorec_rt.jobs.reporter import BAR_STEPS, Reporter
from emorec_rt.jobs.summary import Totals
from emorec_rt.recognizer.options import Options, refuse_unknown
from emorec_rt.writers import OutputOptions


@dataclass(frozen=True, slots=True)
class Call:
    """Values of a call.

    Attributes:
        planned: Inputs and targets.
        out_dir: The folder that the targets lie below.
        remote: Address of the folder that they belong into; empty where ``out_dir`` is that folder.
        bundle: Folder of the bundle; ``None`` is the default bundle.
        options: How to run it.
        output: How results are written.
        resume: Whether to keep a journal, and to skip what it says is done.
        cluster: The workers.
    """

    planned: list[Job]
    out_dir: Path
    remote: str
    bundle: Path | None
    options: Options
    output: OutputOptions
    resume: bool
    cluster: Cluster


@dataclass
class Ledger(Journal):
    """The journal of a cluster: workers make its lines, and one process writes them.

    Attributes:
        received: Lines about inputs, until they are written.
    """

    received: dict[Path, Record] = field(default_factory=dict)

    def add(self, job: Job, outcome: object) -> None:  # noqa: ARG002 - the worker has judged it
        """Write the line about an input, if its worker made one.

        Raises:
            OutputError: The journal can't be written.
        """
        record = self.received.pop(job.source, None)
        if record is not None:
            self.append(job, record)


def run(
    paths: Sequence[str | os.PathLike[str]],
    bundle: str | os.PathLike[str] | None = None,
    *,
    out_dir: str | os.PathLike[str],
    formats: Sequence[str] = ("csv",),
    resume: bool = False,
    cluster: Cluster | None = None,
    output: OutputOptions | None = None,
    **options: Any,
) -> Totals:
    """Write the results of many inputs into a folder that all machines of a cluster share.

    Args:
        paths: Files, folders, patterns and lists, as ``emorec-rt`` takes them, on a disk that all share.
        bundle: Folder of the bundle, on that disk too; ``None`` takes the model in the package.
        out_dir: A folder on that disk, or an address: ``s3://bucket/folder``, ``gs://``, ``hdfs://``.
        formats: Output formats.
        resume: Skip inputs whose results are there, made from the same content with the same settings.
        cluster: The workers; ``None`` takes what ``RAY_ADDRESS`` says, or this machine.
        output: How results are written.
        **options: Keywords of ``emorec_rt.load``.

    Returns:
        The outcome of each input, failures included, and sums over them.

    Raises:
        UsageError: An argument is wrong.
        EmorecError: The bundle or its engines can't be used, or the cluster can't be reached.
    """
    refuse_unknown({name: value for name, value in options.items() if name not in Options.__slots__})
    chosen = Options(**options)
    with ExitStack() as stack:
        folder, remote = result_folder(os.fspath(out_dir), stack)
        call = Call(
            plan([Path(path) for path in paths], [], folder, formats),
            folder,
            remote,
            None if bundle is None else Path(bundle),
            chosen,
            replace(output or OutputOptions(), people=chosen.faces != "main"),
            resume,
            cluster or Cluster(),
        )
        reporter = Reporter()
        return execute(call, reporter, Ledger(""))


def result_folder(out_dir: str, stack: ExitStack) -> tuple[Path, str]:
    """The folder to plan results into, and the address that they go to; empty for none.

    Args:
        out_dir: A path or an address.
        stack: Ends what stands for a folder that has no path.

    Raises:
        UsageError: It can't be written.
    """
    if not is_remote(out_dir):
        return Path(out_dir), ""
    RemoteFolder(out_dir).check()
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="emorec-"))), out_dir


def execute(call: Call, reporter: Reporter, ledger: Ledger) -> Totals:
    """Do what is left to do.

    Args:
        call: What is to be done.
        reporter: Told of failures, progress and outcomes.
        ledger: The journal that it writes to, with ``resume``.

    Raises:
        EmorecError: As ``run``.
    """
    check_parallel(call.planned)
    present, missing = split_missing(call.planned)
    totals = Totals(inputs=len(call.planned))
    if present:
        with connected(call.cluster):
            begun = time.perf_counter()
            _run(call, present, reporter, ledger, totals)
            totals.wall_seconds = time.perf_counter() - begun
    totals.outcomes.extend(missing)
    totals.sort(job.source for job in call.planned)
    return totals


def _run(call: Call, jobs: Sequence[Job], reporter: Reporter, ledger: Ledger, totals: Totals) -> None:
    remove_leftovers(jobs)
    asked = call.resume and not call.remote
    tasks = [
        Task(number, _absolute(job), ledger.recorded(job) if asked else None)
        for number, job in enumerate(jobs)
    ]
    try:
        for result in results(tasks, _work(call), call.cluster):
            _settle(jobs[result.number], result, reporter, ledger, totals)
    finally:
        remove_leftovers(jobs)


def _settle(job: Job, result: Result, reporter: Reporter, ledger: Ledger, totals: Totals) -> None:
    assert result.outcome is not None  # noqa: S101 - one without is an error before
    outcome = replace(result.outcome, source=job.source)
    for line in result.lines:
        reporter.say(line)
    if result.record is not None:
        ledger.received[job.source] = result.record
    reporter.advance(BAR_STEPS)
    reporter.settle(job, outcome)
    totals.outcomes.append(outcome)


def _work(call: Call) -> Work:
    """What each worker is told: as many threads as it has cores, and paths that mean the same anywhere."""
    options, cores = call.options, call.cluster.num_cpus
    shared = replace(
        options,
        threads=options.threads or cores,
        face_model=options.face_model and options.face_model.absolute(),
        speakers=options.speakers and options.speakers.absolute(),
        source=replace(options.source, threads=options.source.threads or cores),
    )
    bundle = call.bundle and call.bundle.absolute()
    return Work(bundle, shared, call.output, call.out_dir.absolute(), call.remote, call.resume)


def _absolute(job: Job) -> Job:
    outputs = tuple(replace(output, target=output.target.absolute()) for output in job.outputs)
    return Job(job.source.absolute(), outputs)
