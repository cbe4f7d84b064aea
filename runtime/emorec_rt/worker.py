"""One of several processes that share the inputs of a call; ``parallel.py`` starts them."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass
from multiprocessing import parent_process
from multiprocessing.connection import Connection, wait
from pathlib import Path

from emorec_rt.account import Outcome
from emorec_rt.errors import EmorecError, UsageError
from emorec_rt.faces import keep_opencv_to_one_thread
from emorec_rt.inputs import Job
from emorec_rt.leaving import leave
from emorec_rt.recognizer import Options, Recognizer


@dataclass(frozen=True, slots=True)
class Work:
    """What every process is told once.

    Attributes:
        bundle: Folder of the bundle; ``None`` is the demo bundle.
        options: How to run it, the threads being this process's share.
        min_segment_seconds: Shortest subtitle.
    """

    bundle: Path | None
    options: Options
    min_segment_seconds: float


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


def work(connection: Connection, task: Work) -> None:
    """Run each job that comes, until ``None`` does. The body of a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it goes to all processes of a terminal; the first decides
    signal.signal(signal.SIGTERM, leave)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_opencv_to_one_thread()
    try:
        recognizer = _load(task)
    except (EmorecError, ImportError, OSError) as error:
        connection.send(Refused(str(error), isinstance(error, UsageError)))
        return
    connection.send(Ready(recognizer.backend))
    while (job := connection.recv()) is not None:
        if not _run(connection, recognizer, job, task.min_segment_seconds):
            return


def _load(task: Work) -> Recognizer:
    from emorec_rt.bundle import open_bundle

    return Recognizer(open_bundle(task.bundle), task.options)


def _run(connection: Connection, recognizer: Recognizer, job: Job, min_segment_seconds: float) -> bool:
    """Run one input; say whether this process is fit for another."""
    from emorec_rt.session import Session

    session = Session(
        recognizer,
        [job],
        complain=lambda line: connection.send(Said(line)),
        progress=lambda steps: connection.send(Progressed(steps)),
        settled=lambda _, outcome: connection.send(Settled(outcome)),
        min_segment_seconds=min_segment_seconds,
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
