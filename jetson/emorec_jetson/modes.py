"""Power modes that are changed for a measurement and restored behind it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from emorec_jetson import guard
from emorec_rt.machine.jetson import nvpmodel
from emorec_rt.machine.jetson.errors import JetsonError
from emorec_rt.machine.jetson.nvpmodel import PowerMode
from emorec_rt.machine.signals import end_on_signal

Say = Callable[[str], None]
Switch = Callable[[PowerMode], None]


@contextmanager
def mode_restored(say: Say) -> Iterator[Switch]:
    """Give what changes the mode; the present one comes back whatever happens inside.

    An error, a Ctrl-C and a ``kill`` end the block as usual. Where not even that can happen (``kill -9``),
    the guard, a process of its own, finds its input closed and restores the mode.

    Raises:
        JetsonError: The mode can't be changed: no nvpmodel, no rights.
    """
    before = nvpmodel.current()
    earlier = signal.signal(signal.SIGTERM, end_on_signal)
    try:
        with _guard(before) as (requests, answers):
            yield lambda mode: nvpmodel.switch(mode, lambda number: _ask(requests, answers, number))
        _check(before, say)
    finally:
        signal.signal(signal.SIGTERM, earlier)


@contextmanager
def _guard(before: PowerMode) -> Iterator[tuple[IO[str], IO[str]]]:
    command = [*_as_root(), sys.executable, "-I", str(Path(guard.__file__)), str(before.number)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None  # noqa: S101 - pipes were asked for
        assert process.stdout is not None  # noqa: S101
        assert process.stderr is not None  # noqa: S101
        if not process.stdout.readline():
            reason = " ".join(process.stderr.read().split()) or "no reason given"
            raise JetsonError(f"power modes can't be changed ({reason}); run sudo -v first, or this as root")
        try:
            yield process.stdin, process.stdout
        finally:
            # A second Ctrl-C must not leave the module in the mode of a measurement.
            interrupt = signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            try:
                process.stdin.close()
                process.wait()  # the guard gives nvpmodel a limited time
            finally:
                signal.signal(signal.SIGINT, interrupt)


def _as_root() -> list[str]:
    if os.geteuid() == 0:
        return []
    return ["sudo"] if sys.stdin.isatty() else ["sudo", "-n"]


def _ask(requests: IO[str], answers: IO[str], number: int) -> str:
    try:
        requests.write(f"{number}\n")
        requests.flush()
        return str(json.loads(answers.readline()))
    except (OSError, ValueError) as error:
        raise JetsonError(f"nvpmodel -m {number} gave no answer; the mode from before is restored") from error


def _check(before: PowerMode, say: Say) -> None:
    present = nvpmodel.current()
    if present.number != before.number:
        raise JetsonError(
            f"mode {before.number} ({before.name}) is not restored; run: sudo nvpmodel -m {before.number}"
        )
    say(f"back in mode {before.number} ({before.name})")
