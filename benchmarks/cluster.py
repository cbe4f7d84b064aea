"""The same clips by ``emorec-rt --jobs 2`` and by two workers of Ray, in turn; then with a worker killed.

    python benchmarks/cluster.py            # 200 generated clips of 10 s, two pairs of calls
    python benchmarks/cluster.py --seconds 3 --pairs 1   # on a machine that has other work
    python benchmarks/cluster.py --quick    # 12 clips of 1 s, to try this program

Needs ``pip install 'emorec[ray]'``. Each figure is a whole process, start-up included: that of Ray too. Calls
alternate, and their order turns from pair to pair, so that what else a machine does falls on both. Results
must be the same bytes. The result goes to ``benchmarks/results/cluster.MACHINE.json``; exit code 1 where
a limit is missed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from folders import same_results
from machine import save

from emorec_train.data.synthetic import ClipSpec, draw_clip, write_clip

ROOT: Final = Path(__file__).resolve().parents[1]
DIFFERENT: Final = 8
"""Clips that are drawn; the others are copies under other names."""

MOST_RATIO: Final = 1.15
ONE_MACHINE: Final = ("-m", "emorec_rt", "--jobs", "2")
RAY: Final = ("-m", "emorec_ray", "--workers", "2", "--cpus", "1")
WORKER: Final = b"ray::MapWorker"
"""How the process of a worker names itself."""


@dataclass(frozen=True)
class Figures:
    """What was measured.

    Attributes:
        clips: Inputs of each call.
        seconds_each: Length of a clip.
        jobs_seconds: Calls of ``--jobs 2``.
        ray_seconds: Calls of two workers, in the same pairs.
        ratio: Sums of the second over the first.
        killed_seconds: A call of two workers, one of which is killed half-way.
        killed_extra_seconds: What that took longer than the median of the undisturbed ones.
        same: Whether all results are the same bytes.
        load: Processes that wanted to run, on average over the last minute, before the first call.
    """

    clips: int
    seconds_each: float
    jobs_seconds: list[float]
    ray_seconds: list[float]
    ratio: float
    killed_seconds: float
    killed_extra_seconds: float
    same: bool
    load: float


def lay_out(folder: Path, clips: int, seconds: float) -> None:
    """Draw some clips, and copy them."""
    folder.mkdir()
    for index in range(clips):
        path = folder / f"{index:04}.mp4"
        if index < DIFFERENT:
            write_clip(draw_clip(index, ClipSpec(seconds=seconds)), path)
        else:
            shutil.copy(folder / f"{index % DIFFERENT:04}.mp4", path)


def start(program: tuple[str, ...], source: Path, out: Path) -> subprocess.Popen[bytes]:
    """Start a call on all clips."""
    words = [*program, "-q", str(source), "--out-dir", str(out)]
    paths = {**os.environ, "PYTHONPATH": str(ROOT / "runtime")}
    return subprocess.Popen([sys.executable, *words], env=paths, stderr=subprocess.DEVNULL)


def measure(program: tuple[str, ...], source: Path, out: Path) -> float:
    """Seconds of a call from its start to its end."""
    begun = time.perf_counter()
    with start(program, source, out) as process:
        if process.wait():
            raise click.ClickException(f"{' '.join(program)}: exit code {process.returncode}")
    return round(time.perf_counter() - begun, 2)


def measure_killed(source: Path, out: Path, results: int) -> float:
    """Seconds of a call of Ray, one of whose workers is killed once so many results are there."""
    begun = time.perf_counter()
    with start(RAY, source, out) as process:
        while process.poll() is None and len(list(out.glob("*.csv"))) < results:
            time.sleep(0.05)
        os.kill(workers()[0], signal.SIGKILL)
        if process.wait():
            raise click.ClickException(f"a worker was killed: exit code {process.returncode}")
    return round(time.perf_counter() - begun, 2)


def workers() -> list[int]:
    """Processes of Ray's workers on this machine."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(WORKER):
                found.append(int(path.parent.name))
    return found


def run(folder: Path, clips: int, seconds: float, pairs: int) -> Figures:
    """Lay out the clips, and make all calls."""
    source, load = folder / "in", os.getloadavg()[0]
    lay_out(source, clips, seconds)
    programs = {"jobs": ONE_MACHINE, "ray": RAY}
    taken: dict[str, list[float]] = {"jobs": [], "ray": []}
    for pair in range(pairs):
        for name in sorted(programs, reverse=bool(pair % 2)):
            taken[name].append(measure(programs[name], source, folder / f"{name}-{pair}"))
            click.echo(f"{name:5} {taken[name][-1]:8.2f} s")
    killed = measure_killed(source, folder / "killed", clips // 2)
    click.echo(f"killed {killed:7.2f} s")
    others = [path for path in folder.iterdir() if path.name not in ("in", "jobs-0")]
    return Figures(
        clips,
        seconds,
        taken["jobs"],
        taken["ray"],
        round(sum(taken["ray"]) / sum(taken["jobs"]), 3),
        killed,
        round(killed - statistics.median(taken["ray"]), 2),
        all(same_results(folder / "jobs-0", other) for other in others),
        round(load, 1),
    )


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="Few and short clips, one pair; nothing is saved.")
@click.option("--pairs", type=click.IntRange(1), default=2, show_default=True, help="Pairs of calls.")
@click.option("--seconds", type=float, default=10.0, show_default=True, help="Length of a clip.")
def main(quick: bool, pairs: int, seconds: float) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    with tempfile.TemporaryDirectory(prefix="emorec-cluster-") as name:
        figures = run(Path(name), *((12, 1.0, 1) if quick else (200, seconds, pairs)))
    click.echo(f"ratio {figures.ratio}  same results: {figures.same}")
    if not quick:
        limits = {"ratio": MOST_RATIO}
        click.echo(f"saved {save('cluster', {**asdict(figures), 'limits': limits}, by_machine=True)}")
    if not figures.same or (not quick and figures.ratio > MOST_RATIO):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
