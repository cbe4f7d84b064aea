"""Many files in one call: one in ten bad, one process and several, a run that is killed and resumed.

    python benchmarks/folders.py            # 200 files of 5 s
    python benchmarks/folders.py --quick    # 40 files of 0.4 s

The files are cut from ``examples/demo.mp4`` or the clip that ``--clip`` names; every tenth is no media. Each
figure is a whole process with the default bundle, start-up included. ``auto`` may become the default of
``--jobs`` only where it is no slower than 1. The result goes to ``benchmarks/results/folders.MACHINE.json``;
exit code 1 where a call did not do what it should.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import av
import click
import msgspec
from machine import save

from emorec_rt.jobs.journal import JOURNAL_NAME

ROOT: Final = Path(__file__).resolve().parents[1]
DEMO_CLIP: Final = ROOT / "examples" / "demo.mp4"
BAD_EVERY: Final = 10
PROGRAM: Final = "from emorec_rt.cli import main; main()"


@dataclass(frozen=True)
class Call:
    """One call on all files.

    Attributes:
        name: What was tried.
        exit_code: Of the process.
        done: Inputs done.
        failed: Inputs failed.
        skipped: Inputs skipped.
        wall_seconds: The whole process.
        media_seconds: Of the rows that it made.
    """

    name: str
    exit_code: int
    done: int
    failed: int
    skipped: int
    wall_seconds: float
    media_seconds: float


def cut(clip: Path, seconds: float) -> bytes:
    """The start of a clip, its packets as they are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "short.mkv"
        with av.open(str(clip)) as source, av.open(str(path), "w") as out:
            streams = {stream.index: out.add_stream_from_template(stream) for stream in source.streams}
            for packet in source.demux():
                if packet.dts is None or float(packet.dts * packet.time_base) >= seconds:
                    continue
                packet.stream = streams[packet.stream.index]
                out.mux(packet)
        return path.read_bytes()


def lay_out(folder: Path, clip: Path, files: int, seconds: float) -> None:
    """Write all files; every tenth is no media."""
    whole = cut(clip, seconds)
    for index in range(files):
        data = whole if index % BAD_EVERY else bytes(1000)
        (folder / f"{index:04}.mkv").write_bytes(data)


def command(source: Path, out: Path, *options: str) -> list[str]:
    """The command line of one call."""
    return [sys.executable, "-c", PROGRAM, str(source), "-q", "--out-dir", str(out), *options]


def measure(name: str, source: Path, out: Path, *options: str) -> Call:
    """Run a call to its end, and read what it says of itself."""
    summary = out.with_name(f"{out.name}.json")
    started = time.perf_counter()
    done = subprocess.run(
        command(source, out, "--summary", str(summary), *options),
        check=False,
        capture_output=True,
        env=paths(),
    )
    seconds = time.perf_counter() - started
    totals = msgspec.json.decode(summary.read_bytes())["totals"]
    return Call(
        name,
        done.returncode,
        totals["done"],
        totals["failed"],
        totals["skipped"],
        round(seconds, 2),
        totals["media_seconds"],
    )


def kill_midway(source: Path, out: Path, results: int, *options: str) -> None:
    """Start a call, and kill it once it has written so many results."""
    with subprocess.Popen(command(source, out, *options), stderr=subprocess.DEVNULL, env=paths()) as process:
        while process.poll() is None and len(list(out.glob("*.csv"))) < results:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)


def paths() -> dict[str, str]:
    """The environment of each call."""
    return {**os.environ, "PYTHONPATH": str(ROOT / "runtime")}


def same_results(first: Path, second: Path) -> bool:
    """Say whether two folders hold the same files, the journal aside."""
    names = [{path.name for path in folder.iterdir()} - {JOURNAL_NAME} for folder in (first, second)]
    return names[0] == names[1] and all(
        (first / name).read_bytes() == (second / name).read_bytes() for name in names[0]
    )


def faults(calls: list[Call], files: int, equal: bool) -> list[str]:
    """Faults of a run, a line each."""
    bad = -(-files // BAD_EVERY)
    found = [] if equal else ["the resumed run's results differ from an uninterrupted one's"]
    found += [
        f"{call.name}: exit {call.exit_code}, {call.done} done, {call.failed} failed"
        for call in calls
        if (call.exit_code, call.failed, call.done + call.skipped) != (1, bad, files - bad)
    ]
    return found


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Few and short files, to try this program.")
@click.option(
    "--clip", type=click.Path(path_type=Path), default=DEMO_CLIP, help="What the files are cut from."
)
@click.option(
    "--jobs", multiple=True, default=("1", "auto"), show_default=True, help="Values of --jobs to time."
)
def main(quick: bool, clip: Path, jobs: tuple[str, ...]) -> None:
    """Measure, print, save; exit with 1 where something went wrong."""
    files, seconds = (40, 0.4) if quick else (200, 5.0)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "in"
        source.mkdir()
        lay_out(source, clip, files, seconds)
        calls = [measure(f"--jobs {n}", source, Path(folder) / f"jobs-{n}", "--jobs", n) for n in jobs]
        broken = Path(folder) / "broken"
        kill_midway(source, broken, files // 2, "--resume")
        calls.append(measure("killed half-way, then --resume", source, broken, "--resume"))
        calls.append(measure("--resume with nothing left", source, broken, "--resume"))
        equal = same_results(Path(folder) / f"jobs-{jobs[0]}", broken)
    for call in calls:
        speed = call.media_seconds / call.wall_seconds
        click.echo(
            f"{call.name:32} exit {call.exit_code}  {call.done:4} done {call.failed:4} failed "
            f"{call.skipped:4} skipped  {call.wall_seconds:8.2f} s  {speed:6.1f}x"
        )
    wrong = faults(calls, files, equal)
    for line in wrong:
        click.echo(f"WRONG: {line}")
    if not quick:
        result = {
            "files": files,
            "seconds_each": seconds,
            "calls": [asdict(c) for c in calls],
            "wrong": wrong,
        }
        click.echo(f"saved {save('folders', result, by_machine=True)}")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
