"""Run a producer in a thread, a bounded queue ahead of its consumer."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T")

POLL_SECONDS = 0.1
JOIN_SECONDS = 5.0
"""Longest time a producer may take to stop; it is a daemon, so the process can end without it."""


@dataclass(frozen=True, slots=True)
class Dropping(Generic[T]):
    """Bounds of a live source's queue, which must be read on time.

    Where it is full, or its oldest droppable item has waited for too long, that item is dropped and counted,
    instead of making the producer wait; where it is full of other items, or these have waited for too long,
    the oldest of all. A burst, as after a pause of the network, loses nothing as long as its consumer catches
    up in time.

    Attributes:
        droppable: Whether an item is of the kind that goes first.
        patience_seconds: How long such an item may wait.
        longest_seconds: How long any item may wait.
        size_bytes: Memory that an item takes.
        max_bytes: Memory that all waiting items may take; one always may wait.
    """

    droppable: Callable[[T], bool]
    patience_seconds: float = math.inf
    longest_seconds: float = math.inf
    size_bytes: Callable[[T], int] = lambda _: 0
    max_bytes: float = math.inf


@dataclass(frozen=True, slots=True)
class _Waiting(Generic[T]):
    item: T
    since_seconds: float
    droppable: bool
    size_bytes: int


class Prefetch(Generic[T]):
    """The items of an iterable, made in a thread up to ``depth`` ahead.

    An exception of the producer is raised in the consumer, after everything made before it. Use as a context
    manager: leaving it stops the producer.

    Args:
        items: What to produce.
        depth: Items that may wait.
        dropping: For live sources: what to drop; without, a full queue makes the producer wait.

    Attributes:
        dropped: Droppable items that were dropped so far.
        overflowed: Other items that were dropped so far.
    """

    def __init__(self, items: Iterable[T], depth: int, dropping: Dropping[T] | None = None) -> None:
        self.dropped = 0
        self.overflowed = 0
        self._items = items
        self._depth = depth
        self._dropping = dropping
        self._waiting: deque[_Waiting[T]] = deque()
        self._waiting_bytes = 0
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

    @property
    def waiting(self) -> int:
        """Items that are made and not taken yet."""
        return len(self._waiting)

    @property
    def ended(self) -> bool:
        """Say whether the producer has made its last item."""
        return self._ended

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
            taken = self._waiting.popleft()
            self._waiting_bytes -= taken.size_bytes
            self._changed.notify_all()
            return taken.item

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
            if self._dropping is None:
                self._changed.wait_for(lambda: self._stopped or len(self._waiting) < self._depth)
            if self._stopped:
                return False
            self._append(item)
            self._changed.notify_all()
        return True

    def _append(self, item: T) -> None:
        now, dropping = time.monotonic(), self._dropping
        if dropping is None:
            self._waiting.append(_Waiting(item, now, droppable=False, size_bytes=0))
            return
        size_bytes = dropping.size_bytes(item)
        self._make_room(dropping, now, size_bytes)
        self._waiting.append(_Waiting(item, now, dropping.droppable(item), size_bytes))
        self._waiting_bytes += size_bytes

    def _make_room(self, dropping: Dropping[T], now: float, size_bytes: int) -> None:
        while self._waiting:
            full = len(self._waiting) >= self._depth or self._waiting_bytes + size_bytes > dropping.max_bytes
            oldest = next((k for k, waiting in enumerate(self._waiting) if waiting.droppable), None)
            stale = oldest is not None and self._age(oldest, now) > dropping.patience_seconds
            if full or stale:
                self._drop(oldest)
            elif self._age(0, now) > dropping.longest_seconds:
                self._drop(0 if self._waiting[0].droppable else None)
            else:
                return

    def _age(self, position: int, now: float) -> float:
        return now - self._waiting[position].since_seconds

    def _drop(self, position: int | None) -> None:
        """Drop the item at a position, or, where none is droppable, the oldest of all."""
        self._waiting_bytes -= self._waiting[position or 0].size_bytes
        del self._waiting[position or 0]
        self.dropped += position is not None
        self.overflowed += position is None
