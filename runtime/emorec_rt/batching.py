"""Fill batches from whatever asks, run them, hand each asker its own result."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from numpy.typing import NDArray

from emorec_rt.device_array import stacked
from emorec_rt.engines.base import Engine
from emorec_rt.errors import OutOfMemoryError

Item = dict[str, NDArray[Any]]
"""Arrays by tensor name, without the batch dimension."""

_logger = logging.getLogger(__name__)


class Batcher:
    """Collect items for one engine; run it when the batch is full or on ``flush``.

    Several inputs may share one batcher, so batches fill across files. Results come back in the order in
    which items were submitted. Nothing runs in the background: a call that fills the batch runs it.

    Where a batch doesn't fit into the engine's memory, it is halved, from then on for all that follow.

    Attributes:
        submitted: Items added so far.
    """

    def __init__(self, engine: Engine, batch_size: int) -> None:
        self._engine = engine
        self._batch_size = batch_size
        self.submitted = 0
        self._waiting: list[tuple[Item, Callable[[Item], None]]] = []

    def submit(self, item: Item, done: Callable[[Item], None]) -> None:
        """Add an item; ``done`` gets its outputs once its batch has run."""
        self._waiting.append((item, done))
        self.submitted += 1
        if len(self._waiting) >= self._batch_size:
            self.flush()

    def flush(self) -> bool:
        """Run what waits, however little; say whether there was anything."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return False
        while batch:
            piece = batch[: self._batch_size]
            if self._run(piece):
                batch = batch[len(piece) :]
        return True

    def _run(self, batch: Sequence[tuple[Item, Callable[[Item], None]]]) -> bool:
        """Run a batch; say whether it had room, for the next one to be smaller."""
        names = [spec.name for spec in self._engine.inputs]
        on_device = getattr(self._engine, "takes_device_arrays", False)
        try:
            outputs = self._engine.run(
                {name: stacked([item[name] for item, _ in batch], on_device=on_device) for name in names}
            )
        except OutOfMemoryError as error:
            if len(batch) == 1:
                raise
            self._batch_size = len(batch) // 2
            _logger.warning("going on with batches of %d: %s", self._batch_size, error)
            return False
        for index, (_, done) in enumerate(batch):
            done({name: array[index] for name, array in outputs.items()})
        return True
