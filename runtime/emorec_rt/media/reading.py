"""The iterator that all sources are."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from types import TracebackType
from typing import TypeVar

from emorec_rt.media.types import MediaItem

ReadingT = TypeVar("ReadingT", bound="Reading")


class Reading(ABC):
    """A context manager and an iterator of media items; it can be iterated once, in any one thread.

    What it yields is written as a generator in ``_iterate``.
    """

    def __init__(self) -> None:
        self._reading = threading.Lock()
        self._items = self._iterate()

    def __enter__(self: ReadingT) -> ReadingT:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[MediaItem]:
        return self

    def __next__(self) -> MediaItem:
        with self._reading:
            return next(self._items)

    def close(self) -> None:
        """End the iterator, from any thread, after a read that is under way. May be called twice."""
        with self._reading:
            self._close_now()

    def _close_now(self) -> None:
        """Give up what was opened; nobody is reading."""
        self._items.close()

    @abstractmethod
    def _iterate(self) -> Generator[MediaItem, None, None]:
        """Yield the items."""
