"""Delay of a row behind its frame: a clip is sent in real time, and the program reads it like a camera.

    python benchmarks/live.py                # ten minutes
    python benchmarks/live.py --quick        # some seconds, nothing saved

A sender on the loopback interface encodes the clip at 25 frames a second (``live_sender.py``), over and over;
``emorec-rt tcp://... --out -`` reads it. The delay of a row is the time from before its frame's encoding in
the sender to the reading of its line here, so that the encoder's and the network's share is in it. Rows are
matched with frames by their number, and the number is checked by the time. A frame without a row is lost.
The result goes to ``benchmarks/results/live.MACHINE.json``; exit code 1 where a limit is missed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import click
import numpy as np
from live_sender import FPS
from machine import save

ROOT: Final = Path(__file__).parents[1]
DEMO: Final = ROOT / "examples" / "demo.mp4"
SENDER: Final = Path(__file__).with_name("live_sender.py")
COMMAND: Final = (sys.executable, "-c", "from emorec_rt.cli import main; main()")
P95_SECONDS: Final = 1.0
TAIL_SECONDS: Final = 3.0
"""Sent after the measured frames, so that the last of these, too, are read while the stream goes on."""

LISTEN_SECONDS: Final = 60.0
LEAVE_SECONDS: Final = 60.0
END_SECONDS: Final = 20.0
"""Less than the program waits for a sender to come back."""

QUICK_MINUTES: Final = 0.2
SAME_TIME_SECONDS: Final = 0.002


@dataclass(frozen=True)
class Delays:
    """Rows beside the frames that they belong to.

    Attributes:
        sent: Measured frames.
        rows: Those that have a row.
        lost: Those that have none.
        mistimed: Rows whose time is not that of the frame of their number.
        delay_seconds: float64 ``[rows]``, in the order of the frames.
        interpolated: Rows whose frame was left out.
        heard: Rows that had their sound.
    """

    sent: int
    rows: int
    lost: int
    mistimed: int
    delay_seconds: np.ndarray[Any, np.dtype[np.float64]]
    interpolated: int = 0
    heard: int = 0

    def figures(self) -> dict[str, float]:
        """Median, 95th percentile and maximum in seconds."""
        if not len(self.delay_seconds):
            return dict.fromkeys(("p50_seconds", "p95_seconds", "max_seconds"), float("inf"))
        p50, p95, most = np.percentile(self.delay_seconds, [50, 95, 100])
        return {"p50_seconds": float(p50), "p95_seconds": float(p95), "max_seconds": float(most)}

    @property
    def holds(self) -> bool:
        """Say whether the limits are kept."""
        return not self.lost and not self.mistimed and self.figures()["p95_seconds"] <= P95_SECONDS


@dataclass
class Received:
    """Rows of a running process, each with the monotonic time at which its line was read."""

    rows: list[tuple[float, dict[str, Any]]] = field(default_factory=list)

    def follow(self, lines: IO[str]) -> threading.Thread:
        """Read in a thread until the process ends."""
        thread = threading.Thread(target=self._read, args=(lines,), daemon=True)
        thread.start()
        return thread

    def wait_for(self, frame: int) -> None:
        """Wait until a row of this frame or a later one has come, or for ``END_SECONDS`` without."""
        until = time.monotonic() + END_SECONDS
        while time.monotonic() < until and not any(row["frame"] >= frame for _, row in self.rows[-1:]):
            time.sleep(0.05)

    def _read(self, lines: IO[str]) -> None:
        for line in lines:
            self.rows.append((time.monotonic(), json.loads(line)))


def compare(sent: Sequence[float], rows: Sequence[tuple[float, dict[str, Any]]], measured: int) -> Delays:
    """Match rows with frames.

    Args:
        sent: Monotonic time of each frame that was sent, in order.
        rows: Monotonic time and content of each row.
        measured: The first so many frames count.
    """
    counted = [row for _, row in rows if row["frame"] < measured]
    came = {row["frame"]: (at, row["time_seconds"]) for at, row in rows if row["frame"] < measured}
    origins = [seconds - number / FPS for number, (_, seconds) in came.items()]
    origin = float(np.median(origins)) if origins else 0.0
    return Delays(
        sent=measured,
        rows=len(came),
        lost=measured - len(came),
        mistimed=sum(abs(found - origin) > SAME_TIME_SECONDS for found in origins),
        delay_seconds=np.array([came[number][0] - sent[number] for number in sorted(came)]),
        interpolated=sum(row.get("interpolated", False) for row in counted),
        heard=sum(row.get("sound", False) for row in counted),
    )


def run(clip: Path, seconds: float, arguments: Sequence[str]) -> tuple[Delays, str]:
    """Send for ``seconds``, and what came of it; with what the program said at its end."""
    port = _free_port()
    received = Received()
    with ExitStack() as stack:
        said = stack.enter_context(tempfile.TemporaryFile("w+"))
        sender = stack.enter_context(_sender(clip, port, seconds + TAIL_SECONDS))
        stack.callback(sender.kill)
        _wait_until_listening(port)
        program = stack.enter_context(_program(port, arguments, said))
        stack.callback(program.kill)
        assert program.stdout is not None  # noqa: S101 - it was asked for
        reader = received.follow(program.stdout)
        told, _ = sender.communicate(timeout=seconds + TAIL_SECONDS + LISTEN_SECONDS)
        received.wait_for(round(seconds * FPS) - 1)
        program.send_signal(signal.SIGINT)
        status = program.wait(LEAVE_SECONDS)
        reader.join(LEAVE_SECONDS)
        said.seek(0)
        complaints = said.read().strip()
    if status:
        raise click.ClickException(f"the program ended with {status}: {complaints}")
    sent = [float(line.split()[1]) for line in told.splitlines()]
    return compare(sent, received.rows, round(seconds * FPS)), complaints


def _sender(clip: Path, port: int, seconds: float) -> subprocess.Popen[str]:
    address = f"tcp://127.0.0.1:{port}?listen=1"
    command = [sys.executable, str(SENDER), str(clip), address, f"{seconds}"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _program(port: int, arguments: Sequence[str], said: IO[str]) -> subprocess.Popen[str]:
    paths = [str(ROOT / "runtime"), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [*COMMAND, f"tcp://127.0.0.1:{port}", "--out", "-", *arguments],
        stdout=subprocess.PIPE,
        stderr=said,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def _wait_until_listening(port: int) -> None:
    """Without connecting: the sender takes a single reader."""
    until = time.monotonic() + LISTEN_SECONDS
    while f":{port:04X} 00000000:0000 0A" not in Path("/proc/net/tcp").read_text(encoding="ascii"):
        if time.monotonic() > until:
            raise click.ClickException("the sender doesn't listen")
        time.sleep(0.05)


def _show(delays: Delays) -> None:
    figures = delays.figures()
    click.echo(f"frames sent {delays.sent}, rows {delays.rows}, mistimed {delays.mistimed}")
    click.echo(f"lost        {delays.lost:8d}      limit    0  {'ok' if not delays.lost else 'MISSED'}")
    p95_mark = "ok" if figures["p95_seconds"] <= P95_SECONDS else "MISSED"
    click.echo(f"p50 delay   {figures['p50_seconds']:8.3f} s")
    click.echo(f"p95 delay   {figures['p95_seconds']:8.3f} s    limit {P95_SECONDS:4.1f}  {p95_mark}")
    click.echo(f"max delay   {figures['max_seconds']:8.3f} s")


@click.command(help=__doc__)
@click.argument("clip", type=click.Path(exists=True, dir_okay=False, path_type=Path), default=DEMO)
@click.option("--minutes", default=10.0, show_default=True, help="How long to send.")
@click.option("--quick", is_flag=True, help="Some seconds, to see that it works; nothing is saved.")
@click.option("--option", "arguments", multiple=True, help="For emorec-rt: --option=--backend=openvino.")
def main(clip: Path, minutes: float, quick: bool, arguments: tuple[str, ...]) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    seconds = 60.0 * (QUICK_MINUTES if quick else minutes)
    delays, said = run(clip, seconds, arguments)
    _show(delays)
    click.echo(said)
    if not quick:
        record = {
            "clip": clip.name,
            "seconds": seconds,
            "arguments": list(arguments),
            "limits": {"p95_seconds": P95_SECONDS, "lost": 0},
            **{name: getattr(delays, name) for name in ("sent", "rows", "lost", "mistimed")},
            **delays.figures(),
            "program_said": said.splitlines(),
        }
        click.echo(f"saved {save('live', record, by_machine=True)}")
    if not delays.holds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
