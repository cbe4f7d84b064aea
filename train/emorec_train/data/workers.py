"""Processes that decode and crop while this one computes."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, Final, TypeVar

import cv2

from emorec_rt.errors import EmorecError

T = TypeVar("T")
R = TypeVar("R")

AHEAD: Final = 2
"""Results that wait for whoever takes them, beside one for each worker."""


class WorkerLostError(EmorecError, RuntimeError):
    """A worker process ended by itself, as it does when memory runs out."""


def map_ahead(function: Callable[[T], R], tasks: Iterable[T], *, workers: int) -> Iterator[R]:
    """Results in the order of the tasks, worked out by ``workers`` processes a little ahead of need.

    Args:
        function: Has to pickle, and so do tasks and results. It must not raise errors of this project: they
            don't survive the way back.
        tasks: What it is called with.
        workers: Processes; 1 works in this one, when a result is asked for.

    Raises:
        WorkerLostError: A process died.
    """
    if workers == 1:
        yield from map(function, tasks)
        return
    # Not fork: torch's and OpenCV's threads don't survive it.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(function,))
    waiting: deque[Future[R]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(_call, task))
            if len(waiting) >= workers + AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise WorkerLostError(
            "a process that decodes clips was killed, likely for want of memory; run again with --workers 1"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


_function: Callable[..., Any]


def _begin(function: Callable[..., Any]) -> None:
    """Take over what every task needs once, rather than with each task."""
    global _function
    _function = function
    cv2.setNumThreads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A worker would wait forever for the next task of a parent that was killed."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call(task: Any) -> Any:
    return _function(task)
