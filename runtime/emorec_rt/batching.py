"""Fill batches from whatever asks, run them, hand each asker its own result."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from numpy.typing import NDArray

from emorec_rt.device_array import stacked
from emorec_rt.engines.base import Engine, ahead_of, lanes_of
from emorec_rt.errors import OutOfMemoryError

Item = dict[str, NDArray[Any]]
"""Arrays by tensor name, without the batch dimension."""

Batch = Sequence[tuple[Item, Callable[[Item], None]]]

_logger = logging.getLogger(__name__)


class Batcher:
    """Collect items for one engine; run it when the batch is full or on ``flush``.

    Several inputs may share one batcher, so batches fill across files. Results come back in the order in
    which items were submitted, in the thread that submits and flushes. An engine of several lanes runs that
    many batches at once, in threads of this batcher; results then come with a later call.

    Where a batch doesn't fit into the engine's memory, it is halved, from then on for all that follow.

    Attributes:
        batch_size: Items of a whole batch.
        submitted: Items added so far.
    """

    def __init__(self, engine: Engine, batch_size: int) -> None:
        self._engine = engine
        self.batch_size = batch_size
        self.submitted = 0
        self._waiting: list[tuple[Item, Callable[[Item], None]]] = []
        self._lanes = lanes_of(engine)
        self._most = self._lanes + ahead_of(engine)
        self._threads = ThreadPoolExecutor(self._most, "emorec-lane") if self._most > 1 else None
        self._running: deque[tuple[Batch, Future[Item]]] = deque()

    def submit(self, item: Item, done: Callable[[Item], None]) -> None:
        """Add an item; ``done`` gets its outputs once its batch has run."""
        self._waiting.append((item, done))
        self.submitted += 1
        if len(self._waiting) >= self.batch_size:
            self._start(1)
        self.poll()

    def poll(self) -> None:
        """Hand out what has ended, and wait where more is under way than the engine takes."""
        self._collect(self._most)

    def flush(self) -> bool:
        """Run what waits, however little, and wait for what runs; say whether there was anything."""
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
                self._halve(batch, error)
                self._run(batch)

    def _run(self, batch: Batch) -> None:
        """Run a batch here and now, in pieces that fit."""
        while batch:
            piece = batch[: self.batch_size]
            try:
                outputs = self._outputs(piece)
            except OutOfMemoryError as error:
                self._halve(piece, error)
                continue
            _hand_out(piece, outputs)
            batch = batch[len(piece) :]

    def _halve(self, batch: Batch, error: OutOfMemoryError) -> None:
        if len(batch) == 1:
            raise error
        # Another lane may have halved it further while this batch ran.
        self.batch_size = min(self.batch_size, len(batch) // 2)
        _logger.warning("going on with batches of %d: %s", self.batch_size, error)

    def _outputs(self, batch: Batch) -> Item:
        """The engine's answer to a batch."""
        on_device = getattr(self._engine, "takes_device_arrays", False)
        feeds = {
            spec.name: stacked([item[spec.name] for item, _ in batch], on_device=on_device)
            for spec in self._engine.inputs
        }
        return self._engine.run(feeds)


def _hand_out(batch: Batch, outputs: Item) -> None:
    for index, (_, done) in enumerate(batch):
        done({name: array[index] for name, array in outputs.items()})
