"""Run a producer in a thread, a bounded queue ahead of its consumer."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

_POLL_SECONDS = 0.1
_END = object()


class _Raised(Generic[T]):
    def __init__(self, error: BaseException) -> None:
        self.error = error


def prefetch(items: Iterable[T], depth: int) -> Iterator[T]:
    """Yield ``items``, made in a thread up to ``depth`` ahead.

    An exception of the producer is raised here, after everything made before it has been yielded. Closing
    the generator stops the producer.
    """
    ready: queue.Queue[object] = queue.Queue(maxsize=depth)
    stopped = threading.Event()
    thread = threading.Thread(target=_produce, args=(items, ready, stopped), daemon=True)
    thread.start()
    try:
        while (item := ready.get()) is not _END:
            if isinstance(item, _Raised):
                raise item.error
            yield item  # type: ignore[misc]  # the queue holds what `items` gave, and the two markers
    finally:
        stopped.set()
        thread.join()


def _produce(items: Iterable[T], ready: queue.Queue[object], stopped: threading.Event) -> None:
    try:
        for item in items:
            if not _put(item, ready, stopped):
                return
        _put(_END, ready, stopped)
    except BaseException as error:  # noqa: BLE001 - it is raised again in the consumer's thread
        _put(_Raised(error), ready, stopped)


def _put(item: object, ready: queue.Queue[object], stopped: threading.Event) -> bool:
    while not stopped.is_set():
        try:
            ready.put(item, timeout=_POLL_SECONDS)
        except queue.Full:
            continue
        return True
    return False
