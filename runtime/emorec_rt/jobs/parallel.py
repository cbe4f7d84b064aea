"""Several processes, each with engines of its own, share the inputs of a call.

An input belongs to one process. If that process dies, its input fails and a new process takes its place; the
others don't notice. Lines about an input are printed together, when it has ended.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Final

from emorec_rt.errors import EngineError, UsageError
from emorec_rt.jobs.journal import remove_leftovers
from emorec_rt.jobs.plan import Job
from emorec_rt.jobs.reporter import BAR_STEPS, Reporter
from emorec_rt.jobs.summary import Outcome, Totals
from emorec_rt.jobs.worker import Message, Progressed, Ready, Refused, Said, Settled, Work, work
from emorec_rt.machine.cores import usable_cores
from emorec_rt.machine.nvidia import visible_gpus
from emorec_rt.media.sources import is_address, masked
from emorec_rt.recognizer.options import Options
from emorec_rt.writers import STDOUT

AUTO_CORES: Final = 2
"""Cores for each process: one decodes and finds faces while the other encodes."""

MOST_AUTO: Final = 8
MOST_LOST_LOADING: Final = 3
"""So many processes may end one after another before any of them has loaded the engines."""

END_SECONDS: Final = 5.0
"""Time that a process has to remove its half-written files when it is told to end."""


def processes(asked: int | None, jobs: int) -> int:
    """Number of processes to start: never more than there are inputs. ``None`` is automatic."""
    automatic = min(max(usable_cores() // AUTO_CORES, 1), MOST_AUTO)
    return max(min(automatic if asked is None else asked, jobs), 1)


def check_parallel(jobs: Sequence[Job]) -> None:
    """Refuse what several processes can't do.

    Raises:
        UsageError: A result goes to standard output, or an input is a stream or a camera.
    """
    for job in jobs:
        if any(output.target == STDOUT for output in job.outputs):
            raise UsageError("--jobs writes files: give --out-dir FOLDER too")
        if is_address(job.source):
            raise UsageError(
                f"{masked(job.source)}: streams and cameras need a call of their own, without --jobs"
            )


def shared(options: Options, count: int) -> Options:
    """The options of each of ``count`` processes: threads of inference and decoding are divided."""
    threads = max((options.threads or usable_cores()) // count, 1)
    decoding = max((options.source.threads or usable_cores()) // count, 1)
    return replace(options, threads=threads, source=replace(options.source, threads=decoding))


@dataclass(eq=False)
class _Worker:
    """A process, its GPU, and the input that it has."""

    process: SpawnProcess
    connection: Connection
    gpu: str = ""
    job: Job | None = None
    begun_seconds: float = 0.0
    steps: int = 0
    lines: list[str] = field(default_factory=list)
    ready: bool = False


@dataclass
class Parallel:
    """Runs jobs in several processes; the counterpart of ``Session``.

    Args:
        task: What each process is told.
        jobs: Inputs and targets; none of them standard output.
        count: Processes.
        reporter: Told of the backend, failures, progress and outcomes.
    """

    task: Work
    jobs: Sequence[Job]
    count: int
    reporter: Reporter = field(default_factory=Reporter)
    totals: Totals = field(default_factory=Totals)
    _waiting: deque[Job] = field(default_factory=deque)
    _workers: list[_Worker] = field(default_factory=list)
    _backend_told: bool = False
    _lost_loading: int = 0

    def run(self) -> Totals:
        """Run everything.

        Raises:
            EmorecError: No process can load the engines.
        """
        begun = time.perf_counter()
        self.totals.inputs = len(self.jobs)
        self._waiting.extend(self.jobs)
        try:
            for _ in range(min(self.count, len(self.jobs))):
                self._start()
            while self._workers:
                self._serve()
        finally:
            self._end()
        self.totals.wall_seconds = time.perf_counter() - begun
        return self.totals

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        gpu = self._idlest_gpu()
        process = context.Process(target=work, args=(theirs, replace(self.task, gpu=gpu)), daemon=True)
        process.start()
        theirs.close()  # so that the end of the process is the end of the pipe
        self._workers.append(_Worker(process, ours, gpu))

    def _idlest_gpu(self) -> str:
        """The GPU with the fewest processes; empty where there is none to choose."""
        gpus = visible_gpus()
        if len(gpus) < 2:
            return ""
        taken = [worker.gpu for worker in self._workers]
        return min(gpus, key=taken.count)

    def _serve(self) -> None:
        by_connection = {worker.connection: worker for worker in self._workers}
        for connection in wait(list(by_connection)):
            worker = by_connection[connection]  # type: ignore[index]  # wait returns what it was given
            try:
                message: Message = worker.connection.recv()
            except (EOFError, OSError):
                self._bury(worker)
            else:
                self._hear(worker, message)

    def _hear(self, worker: _Worker, message: Message) -> None:
        if isinstance(message, Ready):
            worker.ready = True
            if not self._backend_told:
                self._backend_told = True
                self.reporter.loaded(message.backend)
            self._feed(worker)
        elif isinstance(message, Refused):
            raise UsageError(message.reason) if message.usage else EngineError(message.reason)
        elif isinstance(message, Said):
            worker.lines.append(message.line)
        elif isinstance(message, Progressed):
            self._advance(worker, message.steps)
        else:
            self._settle(worker, message)
            if not message.last:
                self._feed(worker)

    def _advance(self, worker: _Worker, steps: int) -> None:
        worker.steps += steps
        self.reporter.advance(steps)

    def _settle(self, worker: _Worker, message: Settled) -> None:
        job = worker.job
        if job is None:
            return
        for line in worker.lines:
            self.reporter.say(line)
        self._advance(worker, BAR_STEPS - worker.steps)
        worker.job, worker.steps, worker.lines = None, 0, []
        self.totals.outcomes.append(message.outcome)
        self.reporter.settle(job, message.outcome)

    def _feed(self, worker: _Worker) -> None:
        try:
            if not self._waiting:
                worker.connection.send(None)
                return
            job = self._waiting.popleft()
            worker.job, worker.begun_seconds = job, time.perf_counter()
            worker.connection.send(job)
        except OSError:
            pass  # it has ended: the end of its pipe, which comes next, tells what becomes of the job

    def _bury(self, worker: _Worker) -> None:
        """A process has ended: for want of jobs, or in the middle of one."""
        worker.process.join()
        worker.connection.close()
        self._workers.remove(worker)
        reason = _ending(worker.process.exitcode)
        self._lost_loading = 0 if worker.ready else self._lost_loading + 1
        if self._lost_loading > MOST_LOST_LOADING:
            raise EngineError(f"a process ended while it loaded the engines ({reason})")
        if worker.job is not None:
            remove_leftovers([worker.job])
            cause = f"{masked(worker.job.source)}: the process that worked on it ended ({reason})"
            worker.lines.append(f"error: {cause}")
            seconds = time.perf_counter() - worker.begun_seconds
            self._settle(worker, Settled(Outcome(worker.job.source, "failed", seconds=seconds, cause=cause)))
        if len(self._workers) < min(self.count, len(self._waiting)):
            self._start()

    def _end(self) -> None:
        """End all processes, and leave nothing of theirs."""
        for worker in self._workers:
            worker.process.terminate()
        for worker in self._workers:
            worker.process.join(END_SECONDS)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            worker.connection.close()
        remove_leftovers([worker.job for worker in self._workers if worker.job is not None])


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        name = signal.Signals(-code).name
        return f"{name}; a full memory can be the cause" if code == -signal.SIGKILL else name
    return f"exit code {code}"
