"""Several libraries timed on one graph, each in a process of its own; all load at once, then run in turn."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from emorec_rt.bundle.manifest import Graph

READY: Final = "ready"
"""Line of a process once it has loaded the graph."""

LOAD_SECONDS: Final = 3.0
"""For all libraries together, since they load at once."""

RUN_SECONDS: Final = 1.0
"""For each library: 0.4 s are timed."""

END_SECONDS: Final = 0.2
"""For a process that has printed something else, or nothing, to end by itself."""

TOO_LONG: Final = "took too long"
FAILED: Final = "failed"


def rates(paths: Mapping[str, Path], graph: Graph, threads: int) -> dict[str, float | str]:
    """Items a second of each backend; in words why there are none.

    Args:
        paths: The graph's file that each backend would run, by backend.
        graph: The manifest's entry.
        threads: Threads of the library.
    """
    with contextlib.ExitStack() as stack:
        entrants = {
            name: stack.enter_context(_entrant(path, graph, name, threads)) for name, path in paths.items()
        }
        until = time.monotonic() + LOAD_SECONDS
        loaded = {name: entrant.line(until - time.monotonic()) for name, entrant in entrants.items()}
        return {
            name: entrants[name].rate() if line == READY else entrants[name].reason()
            for name, line in loaded.items()
        }


class _Entrant:
    """One library's process.

    Args:
        process: Runs ``emorec_rt.engines.timing``.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._late = False

    def line(self, seconds: float) -> str:
        """The next line that it prints; empty where it ends, or takes longer and is ended."""
        assert self._process.stdout is not None  # noqa: S101 - as it was started
        timer = threading.Timer(seconds, self._give_up)
        timer.start()
        try:
            return self._process.stdout.readline().decode().strip()
        finally:
            timer.cancel()

    def rate(self) -> float | str:
        """Items a second; in words why not."""
        assert self._process.stdin is not None  # noqa: S101 - as it was started
        with contextlib.suppress(OSError):
            self._process.stdin.write(b"\n")
        try:
            return float(self.line(RUN_SECONDS))
        except ValueError:
            return self.reason()

    def reason(self) -> str:
        """Why it printed nothing, in a few words."""
        if self._late:
            return TOO_LONG
        try:
            code = self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:  # it has said something else, and waits
            return FAILED
        return f"ended by signal {-code}" if code < 0 else FAILED

    def _give_up(self) -> None:
        self._late = True
        self._process.kill()


@contextlib.contextmanager
def _entrant(path: Path, graph: Graph, backend: str, threads: int) -> Iterator[_Entrant]:
    entry = msgspec.json.encode(graph).decode()
    command = [sys.executable, "-m", "emorec_rt.engines.timing", str(path), entry, backend, str(threads)]
    pipe = subprocess.PIPE
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, bufsize=0
    ) as process:
        try:
            yield _Entrant(process)
        finally:
            process.kill()
