"""Fill batches from whatever asks, run them, hand each asker its own result."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.engines.base import Engine

Item = dict[str, NDArray[Any]]
"""Arrays by tensor name, without the batch dimension."""


class Batcher:
    """Collect items for one engine; run it when the batch is full or on ``flush``.

    Several inputs may share one batcher, so batches fill across files. Results come back in the order in
    which items were submitted. Nothing runs in the background: a call that fills the batch runs it.
    """

    def __init__(self, engine: Engine, batch_size: int) -> None:
        self._engine = engine
        self._batch_size = batch_size
        self._waiting: list[tuple[Item, Callable[[Item], None]]] = []

    def submit(self, item: Item, done: Callable[[Item], None]) -> None:
        """Add an item; ``done`` gets its outputs once its batch has run."""
        self._waiting.append((item, done))
        if len(self._waiting) >= self._batch_size:
            self.flush()

    def flush(self) -> bool:
        """Run what waits, however little; say whether there was anything."""
        batch, self._waiting = self._waiting, []
        if not batch:
            return False
        names = [spec.name for spec in self._engine.inputs]
        outputs = self._engine.run({name: np.stack([item[name] for item, _ in batch]) for name in names})
        for index, (_, done) in enumerate(batch):
            done({name: array[index] for name, array in outputs.items()})
        return True
