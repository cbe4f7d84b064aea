"""Batches: filled, in order, and halved where they don't fit into memory."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.base import Engine, Tensors
from emorec_rt.engines.batching import Batcher, Pending
from emorec_rt.errors import EngineError, OutOfMemoryError


class SmallEngine(Engine):
    """Doubles what it is given; a batch over ``room`` doesn't fit."""

    inputs = (TensorSpec(name="x", dtype="float32", shape=(-1, 2)),)
    outputs = (TensorSpec(name="y", dtype="float32", shape=(-1, 2)),)

    def __init__(self, room: int = 100, error: type[EngineError] = OutOfMemoryError) -> None:
        self.room = room
        self.error = error
        self.batches: list[int] = []

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        self.batches.append(len(feeds["x"]))
        if len(feeds["x"]) > self.room:
            raise self.error("full")
        return {"y": feeds["x"] * 2}


def submit(batcher: Batcher, numbers: range) -> list[Pending]:
    return [batcher.submit({"x": np.full(2, number, np.float32)}) for number in numbers]


def values(pendings: list[Pending]) -> list[float]:
    """The answers so far."""
    there = [outputs for pending in pendings if (outputs := pending.outputs) is not None]
    assert all(outputs["y"].shape == (2,) for outputs in there)
    return [float(outputs["y"][0]) for outputs in there]


def test_a_full_batch_runs_and_a_flush_runs_the_rest() -> None:
    engine = SmallEngine()
    batcher = Batcher(engine, 4)
    answers = submit(batcher, range(6))
    assert values(answers) == [0, 2, 4, 6]
    assert batcher.flush()
    assert values(answers) == [0, 2, 4, 6, 8, 10]
    assert not batcher.flush()
    assert engine.batches == [4, 2]


@pytest.mark.parametrize("room", [1, 2, 3, 7])
def test_batches_are_halved_until_they_fit(room: int, caplog: pytest.LogCaptureFixture) -> None:
    engine = SmallEngine(room)
    batcher = Batcher(engine, 16)
    answers = submit(batcher, range(40))
    batcher.flush()
    assert values(answers) == [2.0 * number for number in range(40)]
    failed = [size for size in engine.batches if size > room]
    assert failed == [size for size in (16, 8, 4, 2) if size > room]
    assert len(caplog.records) == len(failed)
    assert all(record.levelno == logging.WARNING for record in caplog.records)
    fits = max(size for size in (8, 4, 2, 1) if size <= room)
    assert caplog.records[-1].message == f"going on with batches of {fits}: full"


def test_an_odd_rest_is_halved_too() -> None:
    engine = SmallEngine(room=2)
    batcher = Batcher(engine, 8)
    answers = submit(batcher, range(5))
    batcher.flush()
    assert values(answers) == [0, 2, 4, 6, 8]
    assert engine.batches == [5, 2, 2, 1]


def test_one_item_that_does_not_fit_is_an_error() -> None:
    batcher = Batcher(SmallEngine(room=0), 2)
    with pytest.raises(OutOfMemoryError, match="full"):
        values(submit(batcher, range(2)))


def test_other_errors_are_not_taken_for_a_full_memory() -> None:
    engine = SmallEngine(room=0, error=EngineError)
    with pytest.raises(EngineError, match="full"):
        values(submit(Batcher(engine, 4), range(4)))
    assert engine.batches == [4]


class TwoLanes(SmallEngine):
    """Of its first two batches, none ends before the other has begun."""

    lanes = 2

    def __init__(self, room: int = 100) -> None:
        super().__init__(room)
        self.together = threading.Barrier(2)
        self.waiting = [1, 2]

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        with contextlib.suppress(IndexError):
            self.waiting.pop()
            self.together.wait(timeout=10.0)
        return super().run(feeds)


def test_lanes_run_batches_at_once_and_keep_their_order() -> None:
    engine = TwoLanes()
    batcher = Batcher(engine, 4)
    answers = submit(batcher, range(11))
    assert batcher.flush()
    assert values(answers) == [2 * number for number in range(11)]
    assert sorted(engine.batches) == [1, 2, 4, 4]  # the flush shares three items between the lanes
    assert not batcher.flush()


@pytest.mark.parametrize("more", [0, 1])
def test_lanes_hold_back_who_submits(more: int) -> None:
    released, begun = threading.Event(), threading.Semaphore(0)

    class Slow(SmallEngine):
        lanes, ahead = 2, more

        def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
            begun.release()
            released.wait(10.0)
            return super().run(feeds)

    batcher = Batcher(Slow(), 1)
    answers: list[Pending] = []
    submitter = threading.Thread(target=lambda: answers.extend(submit(batcher, range(4 + more))))
    submitter.start()
    for _ in range(2 + more):
        assert begun.acquire(timeout=10.0)
    assert not begun.acquire(timeout=0.2)  # another would wait in vain: lanes and queue are taken
    assert submitter.is_alive()
    released.set()
    submitter.join(10.0)
    batcher.flush()
    assert values(answers)[0] == 0.0


def test_lanes_halve_batches_too(caplog: pytest.LogCaptureFixture) -> None:
    batcher = Batcher(TwoLanes(room=2), 8)
    with caplog.at_level(logging.WARNING):
        answers = submit(batcher, range(20))
        batcher.flush()
    assert values(answers) == [2 * number for number in range(20)]
    assert "batches of 2" in caplog.text


def test_an_error_in_a_lane_reaches_who_submits() -> None:
    engine = TwoLanes(room=0)
    engine.error = EngineError
    batcher = Batcher(engine, 4)

    answers = submit(batcher, range(8))
    batcher.flush()
    for answer in answers:
        with pytest.raises(EngineError, match="full"):
            values([answer])


def test_what_has_ended_comes_with_the_next_poll() -> None:
    batcher = Batcher(TwoLanes(), 2)
    answers = submit(batcher, range(4))
    deadline = time.monotonic() + 10.0
    while len(values(answers)) < 4 and time.monotonic() < deadline:
        batcher.poll()
    assert values(answers) == [0, 2, 4, 6]


def test_a_second_lane_does_not_undo_a_smaller_half() -> None:
    """A batch of eight that fails late, when batches of two are known to be too large already."""
    batcher = Batcher(SmallEngine(room=1), 8)
    assert values(submit(batcher, range(8))) == [2 * number for number in range(8)]
    batch = [({"x": np.zeros(2, np.float32)}, Pending())] * 8
    batcher._halve(batch, OutOfMemoryError("full"))
    assert values(submit(batcher, range(2))) == [0, 2]
    assert batcher.batch_size == 1


@pytest.mark.parametrize("engine", [SmallEngine(), TwoLanes()])
def test_threads_share_a_batcher_and_each_gets_its_own(engine: SmallEngine) -> None:
    batcher, wrong = Batcher(engine, 16), []

    def ask(first: int) -> None:
        for start in range(first, first + 2000, 7):
            answers = submit(batcher, range(start, start + 7))
            batcher.flush()
            wrong.extend(k for k, value in enumerate(values(answers), start) if value != 2 * k)

    threads = [threading.Thread(target=ask, args=(10_000 * k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
    assert not wrong
    assert batcher.submitted == 8 * 2002
    assert sum(engine.batches) == batcher.submitted


def test_a_failed_batch_fails_its_own_items_alone() -> None:
    engine = SmallEngine(room=3, error=EngineError)
    batcher = Batcher(engine, 4)
    lost = submit(batcher, range(4))
    kept = submit(batcher, range(3))
    batcher.flush()
    assert values(kept) == [0, 2, 4]
    with pytest.raises(EngineError, match="full"):
        values(lost)
