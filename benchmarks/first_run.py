"""First impression: start-up, speed and memory of ``emorec-rt`` with the default bundle.

    python benchmarks/first_run.py

Each figure is a median of whole-process runs of the installed command and stands beside its limit; the
result goes to ``benchmarks/results/first_run.MACHINE.json``.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import click
from av.container import InputContainer
from av.packet import Packet
from figure import Figure, refuse_missed
from machine import save

DEMO = Path(__file__).parents[1] / "examples" / "demo.mp4"
REPEATS = 10
"""The long clip is the demo this many times over."""


@dataclass(frozen=True)
class Run:
    """One finished process."""

    wall_seconds: float
    peak_mib: float
    first_row_seconds: float | None


def run(arguments: list[str]) -> Run:
    """Run ``emorec-rt`` and have the system account for it."""
    command = [str(Path(sys.executable).parent / "emorec-rt"), *arguments]
    started = time.perf_counter()
    first_row = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # noqa: S101 - it was asked for
        for _ in process.stdout:
            first_row = first_row or time.perf_counter() - started
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)} ended with {process.returncode}")
    return Run(time.perf_counter() - started, usage.ru_maxrss / 1024, first_row)


def transcript() -> str:
    """Output of the README's first command, and the first lines that it writes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [str(Path(sys.executable).parent / "emorec-rt"), "examples/demo.mp4", "--out"]
        preds = Path(folder) / "preds.csv"
        done = subprocess.run(
            [*command, str(preds)], cwd=DEMO.parents[1], capture_output=True, text=True, check=True
        )
        head = preds.read_text(encoding="utf-8").splitlines()[:4]
    return "\n".join([done.stderr.strip(), "$ head -4 preds.csv", *head])


def repeat_clip(source: Path, target: Path, times: int, fps: int | None = None) -> float:
    """Copy a clip's packets ``times`` times, one after the other; return the new length in seconds.

    With ``fps`` the picture plays at that rate, and the sound of a turn ends with it.
    """
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        rate = reader.streams.video[0].average_rate
        pace = Fraction(1) if fps is None or rate is None else rate / fps
        length = _span(reader, None if fps is None else "video") * pace
        streams = {s.index: writer.add_stream_from_template(s) for s in reader.streams}
        for turn in range(times):
            reader.seek(0)
            for packet in reader.demux():
                if packet.dts is not None and packet.time_base is not None:
                    own = pace if packet.stream.type == "video" else Fraction(1)
                    if own != pace and (packet.dts + (packet.duration or 0)) * packet.time_base > length:
                        continue
                    _shift(packet, turn * length, own)
                    packet.stream = streams[packet.stream.index]
                    writer.mux(packet)
        return float(length * times)


def _span(reader: InputContainer, kind: str | None) -> Fraction:
    """From the first decoding time of any stream of a kind to the end of its last packet."""
    starts, ends = [], []
    for packet in reader.demux():
        if packet.dts is not None and packet.time_base is not None and kind in (None, packet.stream.type):
            starts.append(packet.dts * packet.time_base)
            ends.append((packet.dts + (packet.duration or 0)) * packet.time_base)
    return max(ends) - min(starts)


def _shift(packet: Packet[Any], seconds: Fraction, pace: Fraction) -> None:
    """Move a packet in time, after stretching its times by ``pace``."""
    assert packet.dts is not None  # noqa: S101 - the caller has looked
    assert packet.time_base is not None  # noqa: S101
    ticks = seconds / packet.time_base
    packet.dts = round(packet.dts * pace + ticks)
    packet.pts = None if packet.pts is None else round(packet.pts * pace + ticks)
    packet.duration = round((packet.duration or 0) * pace)


def measure(runs: int) -> list[Figure]:
    """All figures."""
    with tempfile.TemporaryDirectory() as folder:
        long = Path(folder) / "long.mp4"
        long_seconds = repeat_clip(DEMO, long, REPEATS)
        out = ["--quiet", "--out", str(Path(folder) / "preds.txt")]
        help_ = [run(["--help"]) for _ in range(runs)]
        short_runs = [run([str(DEMO), *out]) for _ in range(runs)]
        long_runs = [run([str(long), *out]) for _ in range(runs)]
        rows = [run([str(DEMO), "--quiet", "--out", "-"]) for _ in range(runs)]
    demo_seconds = long_seconds / REPEATS
    help_seconds = statistics.median(r.wall_seconds for r in help_)
    short_wall = statistics.median(r.wall_seconds for r in short_runs)
    long_wall = statistics.median(r.wall_seconds for r in long_runs)
    growth = statistics.median(r.peak_mib for r in long_runs) - statistics.median(
        r.peak_mib for r in short_runs
    )
    first_row = statistics.median(r.first_row_seconds or 0.0 for r in rows)
    steady = (long_seconds - demo_seconds) / (long_wall - short_wall)
    return [
        Figure("emorec-rt --help", help_seconds, "s", "< 0.3"),
        Figure("first row after start", first_row, "s", "< 2"),
        Figure("demo clip, start-up included", demo_seconds / short_wall, "x real time"),
        Figure("demo clip, engines loaded", steady, "x real time", ">= 20"),
        Figure("memory that a ten times longer clip adds", growth, "MiB", "< 50"),
        Figure("peak memory", statistics.median(r.peak_mib for r in long_runs), "MiB"),
    ]


@click.command(help=__doc__)
@click.option("--runs", default=5, show_default=True, help="Runs of each command.")
def main(runs: int) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    figures = measure(runs)
    click.echo("\n".join(map(str, figures)))
    result = {
        "bundle": "default",
        "figures": [asdict(figure) for figure in figures],
        "transcript": transcript(),
    }
    click.echo(f"saved {save('first_run', result, by_machine=True)}")
    refuse_missed(figures)


if __name__ == "__main__":
    main()
