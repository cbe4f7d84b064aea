"""An engine on all of the machine: as many batches at once as it has lanes, see ``engines/base.py``."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from emorec_rt.engines.base import Engine, Tensors


def run_in_lanes(engine: Engine, feeds: Tensors, threads: ThreadPoolExecutor) -> None:
    """Run a batch, cut into as many parts as the engine has lanes, all at once.

    Args:
        engine: What runs.
        feeds: A batch.
        threads: As many as there are lanes, or more.
    """
    batch = len(next(iter(feeds.values())))
    size = -(-batch // engine.lanes)
    parts = [
        {name: array[first : first + size] for name, array in feeds.items()}
        for first in range(0, batch, size)
    ]
    for _ in threads.map(engine.run, parts):
        pass
