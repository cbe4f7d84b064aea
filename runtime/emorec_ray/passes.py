"""Tasks through the workers of a cluster, in passes: what a lost worker had in hand comes again."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from emorec_ray.cluster import Cluster, worker_count
from emorec_ray.rows import COLUMN, Result, Task, pack, unpack
from emorec_ray.worker import Work, Worker
from emorec_rt.errors import EngineError, UsageError
from emorec_rt.jobs.summary import Outcome

if TYPE_CHECKING:
    from ray.data import Dataset

WAVE: Final = 10_000
"""Tasks in a pass at most: each is a block of a data set of its own, so that a lost worker loses one."""

IN_FLIGHT: Final = 2
"""Tasks that a worker has at a time: the one it works on, and the next."""

MOST_LOST: Final = 100
"""Tasks that a pass may lose before it is given up, and the next one begins."""

MOST_FRUITLESS: Final = 2
"""Passes without any result, one after another, after which what is left has failed."""

_UNBORN: Final = "creation task"
"""Part of what Ray says of a worker that has never worked."""


def results(tasks: Sequence[Task], work: Work, cluster: Cluster) -> Iterator[Result]:
    """Give a result for each task, in the order in which they end.

    Raises:
        UsageError: The engines can't be loaded as asked, or the cluster has no room for a worker.
        EngineError: They can't be loaded.
    """
    for start in range(0, len(tasks), WAVE):
        yield from _wave(tasks[start : start + WAVE], work, cluster)


def _wave(tasks: Sequence[Task], work: Work, cluster: Cluster) -> Iterator[Result]:
    waiting = {task.number: task for task in tasks}
    fruitless = 0
    while waiting and fruitless < MOST_FRUITLESS:
        before = len(waiting)
        for result in _pass(list(waiting.values()), work, cluster):
            del waiting[result.number]
            yield result
        fruitless = fruitless + 1 if len(waiting) == before else 0
    yield from map(_lost, waiting.values())


def _pass(tasks: Sequence[Task], work: Work, cluster: Cluster) -> Iterator[Result]:
    """Results of the tasks whose workers lived; the others are left out.

    Raises:
        EngineError: No worker can start.
    """
    from ray.exceptions import RayError

    _quiet()
    try:
        for batch in _dataset(tasks, work, cluster).iter_batches(
            batch_size=None, batch_format="pyarrow", prefetch_batches=0
        ):
            yield from (_accepted(unpack(data, Result)) for data in batch[COLUMN].to_pylist())
    except RayError as error:
        # Or else more were lost than a pass may lose.
        if _UNBORN in str(error):
            raise EngineError(_no_start(str(error))) from error


def _dataset(tasks: Sequence[Task], work: Work, cluster: Cluster) -> Dataset:
    import ray
    from ray.data import ActorPoolStrategy

    rows = [{COLUMN: pack(task)} for task in tasks]
    count = worker_count(cluster, len(tasks))
    pool = ActorPoolStrategy(
        min_size=1, initial_size=count, max_size=count, max_tasks_in_flight_per_actor=IN_FLIGHT
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of max_restarts, from 2.60 on; nothing else says the same yet
        return ray.data.from_items(rows, override_num_blocks=len(rows)).map_batches(
            Worker,
            fn_constructor_args=(work,),
            batch_format="pyarrow",
            batch_size=1,
            compute=pool,
            num_cpus=cluster.num_cpus,
            num_gpus=cluster.num_gpus,
            # The pool takes a new worker for a lost one, wherever there is room. Ray's own restarts would let
            # tasks wait for room on a machine that may never come back.
            max_restarts=0,
        )


def _accepted(result: Result) -> Result:
    if result.refusal:
        raise UsageError(result.refusal) if result.misused else EngineError(result.refusal)
    return result


def _no_start(text: str) -> str:
    reason = text.strip().splitlines()[-1]
    return f"a worker can't start: {reason}; each machine needs the same emorec, with the extra ray"


def _lost(task: Task) -> Result:
    cause = (
        f"{task.job.source}: each worker that had it was lost (a crash, a full memory, a machine that went); "
        "Ray's logs tell more"
    )
    return Result(task.number, Outcome(task.job.source, "failed", cause=cause), (f"error: {cause}",))


def _quiet() -> None:
    """Let Ray Data lose tasks without ending, and without a word: this program says what becomes of them."""
    from ray.data import DataContext

    context = DataContext.get_current()
    context.max_errored_blocks = MOST_LOST
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)
