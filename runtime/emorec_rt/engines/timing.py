"""Time one library on one graph, in a process of its own: a library that crashes takes nothing with it.

    python -m emorec_rt.engines.timing GRAPH.onnx ENTRY BACKEND THREADS

ENTRY is the manifest's entry of the graph. The program loads the graph, says ``ready``, waits for a line, and
prints items a second.
"""

from __future__ import annotations

import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from emorec_rt.bundle.manifest import Graph
from emorec_rt.engines import describe
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.engines.contest import READY

TIMED_SECONDS: Final = 0.4

BATCH: Final = 2
"""Fewer items than the runtime gives at once: a large model would take seconds for the first batch alone."""


def items_per_second(engine: Engine, feeds: Tensors, seconds: float = TIMED_SECONDS) -> float:
    """Rate of an engine whose lanes are all busy, with the batch of ``feeds``."""
    lanes = engine.lanes + engine.ahead
    with ThreadPoolExecutor(lanes) as pool:
        begun = time.perf_counter()
        running: list[Future[dict[str, Any]]] = [pool.submit(engine.run, feeds) for _ in range(lanes)]
        done = lanes
        while time.perf_counter() - begun < seconds:
            running.pop(0).result()
            running.append(pool.submit(engine.run, feeds))
            done += 1
        for future in running:
            future.result()
        return done * len(next(iter(feeds.values()))) / (time.perf_counter() - begun)


def warmed(engine: Engine) -> Tensors:
    """A batch of zeros, once every lane has run one: its first takes longer."""
    feeds = {spec.name: np.zeros([BATCH, *spec.shape[1:]], spec.dtype) for spec in engine.inputs}
    with ThreadPoolExecutor(engine.lanes) as pool:
        list(pool.map(engine.run, [feeds] * engine.lanes))
    return feeds


def main() -> None:
    """Time what the arguments name."""
    path, entry, backend, threads = sys.argv[1:]
    graph = msgspec.json.decode(entry, type=Graph)
    engine = describe(backend).open(Path(path), graph, threads=int(threads))
    feeds = warmed(engine)
    print(READY, flush=True)
    if sys.stdin.readline():
        print(items_per_second(engine, feeds))


if __name__ == "__main__":
    main()
