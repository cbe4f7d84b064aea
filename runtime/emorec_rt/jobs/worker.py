"""One of several processes that share the inputs of a call; ``parallel.py`` starts them."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from emorec_rt.errors import EmorecError, UsageError
from emorec_rt.faces import keep_opencv_to_one_thread
from emorec_rt.jobs.plan import Job
from emorec_rt.jobs.reporter import Reporter
from emorec_rt.jobs.summary import Outcome
from emorec_rt.machine.nvidia import VISIBLE_GPUS
from emorec_rt.machine.signals import end_on_signal
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.writers import OutputOptions


@dataclass(frozen=True, slots=True)
class Work:
    """Settings that every process is told once.

    Attributes:
        bundle: Folder of the bundle; ``None`` is the default bundle.
        options: How to run it, the threads being this process's share.
        output: How results are written.
        gpu: The one GPU that it may use; empty leaves the choice as it is.
    """

    bundle: Path | None
    options: Options
    output: OutputOptions
    gpu: str = ""


@dataclass(frozen=True, slots=True)
class Ready:
    """The engines are loaded, in this backend."""

    backend: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The engines can't be loaded; ``usage`` says whether the call is wrong."""

    reason: str
    usage: bool


@dataclass(frozen=True, slots=True)
class Said:
    """A line for people about the input at hand."""

    line: str


@dataclass(frozen=True, slots=True)
class Progressed:
    """The input at hand has come on by so many steps of the bar."""

    steps: int


@dataclass(frozen=True, slots=True)
class Settled:
    """The input at hand is done or has failed; ``last`` says that this process takes no other."""

    outcome: Outcome
    last: bool = False


Message = Ready | Refused | Said | Progressed | Settled


class _Sender(Reporter):
    """Passes everything on to the process that started this one."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def say(self, line: str) -> None:
        self._connection.send(Said(line))

    def advance(self, steps: int) -> None:
        self._connection.send(Progressed(steps))

    def settle(self, job: Job, outcome: Outcome) -> None:  # noqa: ARG002 - this process has one job at a time
        self._connection.send(Settled(outcome))


def work(connection: Connection, task: Work) -> None:
    """Run each job that comes, until ``None`` does. The body of a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it goes to all processes of a terminal; the first decides
    signal.signal(signal.SIGTERM, end_on_signal)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if task.gpu:
        os.environ[VISIBLE_GPUS] = task.gpu  # no library has looked for a GPU yet
    keep_opencv_to_one_thread()
    try:
        recognizer = _load(task)
    except (EmorecError, ImportError, OSError) as error:
        connection.send(Refused(str(error), isinstance(error, UsageError)))
        return
    connection.send(Ready(recognizer.backend))
    while (job := connection.recv()) is not None:
        if not _run(connection, recognizer, job, task.output):
            return


def _load(task: Work) -> Recognizer:
    from emorec_rt.bundle import open_bundle

    return Recognizer(open_bundle(task.bundle), task.options)


def _run(connection: Connection, recognizer: Recognizer, job: Job, output: OutputOptions) -> bool:
    """Run one input; say whether this process is fit for another."""
    from emorec_rt.jobs.session import Session

    session = Session(
        recognizer,
        [job],
        _Sender(connection),
        output=output,
    )
    try:
        session.run()
    except EmorecError as error:
        # An engine that has failed once may do so again: a new process starts with new ones.
        connection.send(Said(f"error: {error}"))
        connection.send(Settled(Outcome(job.source, "failed", cause=str(error)), last=True))
        return False
    return True


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
