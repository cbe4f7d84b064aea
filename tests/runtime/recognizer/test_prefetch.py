"""The queue between decoding and encoding."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from emorec_rt.recognizer.prefetch import Dropping, Prefetch


def test_everything_comes_in_order() -> None:
    with Prefetch(range(1000), depth=3) as items:
        assert [item for item in items if item is not None] == list(range(1000))


def test_an_error_comes_after_what_was_made_before_it() -> None:
    def broken() -> Iterator[int]:
        yield from range(5)
        raise OSError("unplugged")

    got = []
    with Prefetch(broken(), depth=2) as items, pytest.raises(OSError, match="unplugged"):
        got.extend(item for item in items if item is not None)
    assert got == list(range(5))


def test_the_producer_waits_for_its_consumer_and_stops_with_it() -> None:
    made = []

    def endless() -> Iterator[int]:
        while True:
            made.append(len(made))
            yield made[-1]

    with Prefetch(endless(), depth=4) as items:
        assert next(item for item in items if item is not None) == 0
    count = len(made)
    assert count <= 7
    assert len(made) == count


def test_a_live_queue_drops_the_oldest_that_may_be_dropped() -> None:
    filled = threading.Event()

    def burst() -> Iterator[int]:
        yield from range(10)
        filled.set()

    with Prefetch(burst(), depth=6, dropping=Dropping(lambda item: item % 2 == 0)) as items:
        assert filled.wait(5)
        got = [item for item in items if item is not None]
    assert items.dropped == 10 - len(got)
    assert got == sorted(got)
    assert {1, 3, 5, 7, 9} <= set(got)


def test_a_live_queue_is_bounded_even_if_nothing_may_be_dropped() -> None:
    filled = threading.Event()

    def burst() -> Iterator[int]:
        yield from range(1000)
        filled.set()

    with Prefetch(burst(), depth=4, dropping=Dropping(lambda _: False)) as items:
        assert filled.wait(5)
        got = [item for item in items if item is not None]
    assert got == [996, 997, 998, 999]
    assert (items.dropped, items.overflowed) == (0, 996)


def test_a_live_queue_keeps_a_burst_that_is_taken_in_time() -> None:
    dropping: Dropping[int] = Dropping(lambda _: True, patience_seconds=60.0)
    with Prefetch(range(500), depth=1000, dropping=dropping) as items:
        assert [item for item in items if item is not None] == list(range(500))
    assert items.dropped == 0


def test_a_live_queue_drops_what_has_waited_for_too_long() -> None:
    first_are_late, filled = threading.Event(), threading.Event()

    def burst() -> Iterator[int]:
        yield from range(5)
        first_are_late.wait(0.2)
        yield 5
        filled.set()

    dropping: Dropping[int] = Dropping(lambda item: item != 2, patience_seconds=0.1)
    with Prefetch(burst(), depth=1000, dropping=dropping) as items:
        assert filled.wait(5)
        got = [item for item in items if item is not None]
    assert got == [2, 5]
    assert items.dropped == 4


def test_a_live_queue_is_bounded_by_memory() -> None:
    filled = threading.Event()

    def burst() -> Iterator[bytes]:
        yield from (bytes([number]) * 10 for number in range(9))
        yield b"x" * 1000
        filled.set()

    dropping: Dropping[bytes] = Dropping(lambda _: True, size_bytes=len, max_bytes=35)
    with Prefetch(burst(), depth=1000, dropping=dropping) as items:
        assert filled.wait(5)
        assert [item for item in items if item is not None] == [b"x" * 1000]
    assert items.dropped == 9


def test_a_pause_is_told() -> None:
    go = threading.Event()

    def slow() -> Iterator[int]:
        yield 1
        go.wait(5)
        yield 2

    got: list[int | None] = []
    with Prefetch(slow(), depth=2) as items:
        for item in items:
            got.append(item)
            if item is None and 1 in got:
                go.set()
    assert [item for item in got if item is not None] == [1, 2]
    assert None in got
