"""Changes power modes for ``bench.py``, and restores the first one however that ends, even by ``kill -9``.

Runs as root from start to end, so that no password is asked for in between. Takes a number of a mode a line
on its input and answers with a line of JSON, nvpmodel's output; where its input ends, whoever was asking is
gone, and the mode from before comes back.

Needs nothing but the standard library: sudo passes no PYTHONPATH on.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TextIO

TIMEOUT_SECONDS = 60
READY = "ready"


def nvpmodel(number: int) -> str:
    """Ask for a mode; a question whether to reboot is answered no."""
    done = subprocess.run(
        ["nvpmodel", "-m", str(number)],
        input="no\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    return done.stdout


def serve(before: int, requests: TextIO, answers: TextIO) -> None:
    """Change modes as asked, then restore ``before``."""
    present = before
    try:
        _tell(answers, READY)
        for line in requests:
            present = int(line)
            _tell(answers, nvpmodel(present))
    finally:
        if present != before:
            nvpmodel(before)


def _tell(answers: TextIO, text: str) -> None:
    answers.write(json.dumps(text) + "\n")
    answers.flush()


def main() -> None:
    """Serve on standard input and output; signals that would end it come to whoever asks as well."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    serve(int(sys.argv[1]), sys.stdin, sys.stdout)


if __name__ == "__main__":
    main()
