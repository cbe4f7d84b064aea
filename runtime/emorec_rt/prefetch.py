"""Run a producer in a thread, a bounded queue ahead of its consumer."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.1
JOIN_SECONDS = 5.0
"""How long a producer that is told to stop may take; it is a daemon, so the process can end without it."""


class Prefetch(Generic[T]):
    """The items of an iterable, made in a thread up to ``depth`` ahead.

    An exception of the producer is raised in the consumer, after everything made before it. Use as a context
    manager: leaving it stops the producer.

    Args:
        items: What to produce.
        depth: Items that may wait.
        droppable: For live sources, which must be read on time: when the queue is full, the oldest waiting
            item for which this holds is dropped and counted, instead of making the producer wait; if there
            is none, the oldest of all.

    Attributes:
        dropped: Items for which ``droppable`` holds that were dropped so far.
        overflowed: Other items that were dropped so far.
    """

    def __init__(self, items: Iterable[T], depth: int, droppable: Callable[[T], bool] | None = None) -> None:
        self.dropped = 0
        self.overflowed = 0
        self._items = items
        self._depth = depth
        self._droppable = droppable
        self._waiting: deque[T] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._produce, daemon=True)

    def __enter__(self) -> Prefetch[T]:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(JOIN_SECONDS)

    def __iter__(self) -> Iterator[T | None]:
        """Yield items as they come, and ``None`` whenever there is none to be had at once."""
        while not (self._ended and not self._waiting):
            item = self._take(0.0)
            if item is None:
                yield None  # the consumer may use the pause
                item = self._take(POLL_SECONDS)
            if item is not None:
                yield item
        if self._error is not None:
            raise self._error

    def _take(self, timeout_seconds: float) -> T | None:
        with self._changed:
            if not self._changed.wait_for(lambda: self._waiting, timeout_seconds):
                return None
            item = self._waiting.popleft()
            self._changed.notify_all()
            return item

    def _produce(self) -> None:
        try:
            for item in self._items:
                if not self._put(item):
                    break
        except BaseException as error:  # noqa: BLE001 - it is raised again in the consumer's thread
            self._error = error
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def _put(self, item: T) -> bool:
        with self._changed:
            if self._droppable is not None and len(self._waiting) >= self._depth:
                self._drop_oldest(self._droppable)
            elif self._droppable is None:
                self._changed.wait_for(lambda: self._stopped or len(self._waiting) < self._depth)
            if self._stopped:
                return False
            self._waiting.append(item)
            self._changed.notify_all()
        return True

    def _drop_oldest(self, droppable: Callable[[T], bool]) -> None:
        for position, item in enumerate(self._waiting):
            if droppable(item):
                del self._waiting[position]
                self.dropped += 1
                return
        self._waiting.popleft()
        self.overflowed += 1
