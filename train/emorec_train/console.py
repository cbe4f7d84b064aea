"""Progress for a person: bars on a terminal, plain lines elsewhere; always on standard error."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import click

from emorec_rt.cli import console

T = TypeVar("T")


def tracked(items: Iterable[T], label: str, length: int) -> Iterator[T]:
    """Yield the items while a bar advances; without a terminal the label is one line."""
    if not _leads():
        yield from items
        return
    if not sys.stderr.isatty():
        say(f"{label} ({length})")
        yield from items
        return
    with click.progressbar(items, length=length, label=label, file=sys.stderr) as bar:
        yield from bar


def say(line: str) -> None:
    """One line on stderr."""
    if _leads():
        console.say(line)


def log(line: str) -> None:
    """One line on stderr where there is no terminal, and so no bar."""
    if not sys.stderr.isatty():
        say(line)


def _leads() -> bool:
    """True for the first of several training processes, which alone writes; torchrun numbers them."""
    return os.environ.get("RANK", "0") == "0"


class Stopwatch:
    """Seconds that each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)
