"""Fill batches from whatever asks, run them, hand each asker its own result."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from emorec_rt.engines.base import Engine
from emorec_rt.errors import EngineError, OutOfMemoryError
from emorec_rt.machine.device_array import stacked

Item = dict[str, NDArray[Any]]
"""Arrays by tensor name, without the batch dimension."""


class Pending:
    """An item that was submitted: its outputs come once its batch has run."""

    __slots__ = ("_error", "_outputs")

    def __init__(self) -> None:
        self._outputs: Item | None = None
        self._error: EngineError | None = None

    @property
    def outputs(self) -> Item | None:
        """Arrays by tensor name; ``None`` until the batch has run.

        Raises:
            EngineError: The batch failed.
        """
        if self._error is not None:
            raise self._error
        return self._outputs

    def settle(self, outputs: Item) -> None:
        """Set the outputs."""
        self._outputs = outputs

    def fail(self, error: EngineError) -> None:
        """Set the error that whoever asks for the outputs gets."""
        self._error = error


Batch = Sequence[tuple[Item, Pending]]

_logger = logging.getLogger(__name__)


class Batcher:
    """Collect items for one engine; run it when the batch is full or on ``flush``.

    Any number of inputs may share one batcher, in one thread or in several, so batches fill across them. An
    engine of several lanes runs that many batches at once, in threads of this batcher.

    A batch that fails gives its error to its own items alone. Where one doesn't fit into the engine's memory,
    it is halved, and batches stay that small.

    Attributes:
        batch_size: Items of a whole batch.
        submitted: Items added so far.
    """

    def __init__(self, engine: Engine, batch_size: int) -> None:
        self._engine = engine
        self.batch_size = batch_size
        self.submitted = 0
        self._lock = threading.RLock()
        self._waiting: list[tuple[Item, Pending]] = []
        self._lanes = engine.lanes
        self._most = self._lanes + engine.ahead
        self._threads = ThreadPoolExecutor(self._most, "emorec-lane") if self._most > 1 else None
        self._running: deque[tuple[Batch, Future[Item]]] = deque()

    def submit(self, item: Item) -> Pending:
        """Add an item and return its outputs to be."""
        pending = Pending()
        with self._lock:
            self._waiting.append((item, pending))
            self.submitted += 1
            if len(self._waiting) >= self.batch_size:
                self._start(1)
            self._collect(self._most)
        return pending

    def poll(self) -> None:
        """Hand out what has ended, and wait where more is under way than the engine takes."""
        with self._lock:
            self._collect(self._most)

    def flush(self) -> bool:
        """Run what waits, however little, and wait for what runs; say whether there was anything."""
        with self._lock:
            if not (self._waiting or self._running):
                return False
            self._start(self._lanes)
            self._collect(0)
            return True

    def _start(self, shares: int) -> None:
        """Begin what waits, cut into so many batches where there is that much."""
        waiting, self._waiting = self._waiting, []
        if self._threads is None:
            self._run(waiting)
            return
        size = -(-len(waiting) // shares) or 1
        for first in range(0, len(waiting), size):
            batch = waiting[first : first + size]
            self._running.append((batch, self._threads.submit(self._outputs, batch)))

    def _collect(self, most_running: int) -> None:
        """Hand out what has ended, and wait until no more than so many batches run."""
        while self._running and (len(self._running) > most_running or self._running[0][1].done()):
            batch, outputs = self._running.popleft()
            try:
                _hand_out(batch, outputs.result())
            except OutOfMemoryError as error:
                if self._halve(batch, error):
                    self._run(batch)
            except EngineError as error:
                _fail(batch, error)

    def _run(self, batch: Batch) -> None:
        """Run a batch here and now, in pieces that fit."""
        while batch:
            piece = batch[: self.batch_size]
            try:
                _hand_out(piece, self._outputs(piece))
            except OutOfMemoryError as error:
                if self._halve(piece, error):
                    continue
            except EngineError as error:
                _fail(piece, error)
            batch = batch[len(piece) :]

    def _halve(self, batch: Batch, error: OutOfMemoryError) -> bool:
        """Make batches smaller. Return False, and fail the item, where one alone is too large."""
        if len(batch) == 1:
            _fail(batch, error)
            return False
        # Another lane may have halved it further while this batch ran.
        self.batch_size = min(self.batch_size, len(batch) // 2)
        _logger.warning("going on with batches of %d: %s", self.batch_size, error)
        return True

    def _outputs(self, batch: Batch) -> Item:
        """The engine's answer to a batch."""
        on_device = self._engine.takes_device_arrays
        feeds = {
            spec.name: stacked([item[spec.name] for item, _ in batch], on_device=on_device)
            for spec in self._engine.inputs
        }
        return self._engine.run(feeds)


def _hand_out(batch: Batch, outputs: Item) -> None:
    for index, (_, pending) in enumerate(batch):
        pending.settle({name: array[index] for name, array in outputs.items()})


def _fail(batch: Batch, error: EngineError) -> None:
    for _, pending in batch:
        pending.fail(error)
