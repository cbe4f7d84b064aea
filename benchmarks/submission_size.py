"""Speed and memory of writing and checking an ABAW submission, at the size of the challenge's test set.

    EMOREC_TEST_MEDIA=... python benchmarks/submission_size.py

The material has names and frame counts of all 548 Aff-Wild2 videos, and the size of the test set (228
sequences, 1,022,655 rows), but not its names: 228 real sequences are taken whose frames add up to exactly
that. All 548 are measured too, to show how memory grows. Each figure is a whole process: writing, and
``train/submission.py check``. The result goes to ``benchmarks/results/submission.json``.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from machine import save

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.template import frame_counts, read_reference
from emorec_train.submission.format import write_submission

ROOT = Path(__file__).resolve().parents[1]
COUNTS = Path("affwild_format/savchenko/abaw6_frames_per_video.txt")
SEQUENCES, ROWS = 228, 1_022_655
LIMIT_SECONDS, LIMIT_MIB = 10.0, 300.0


@dataclass(frozen=True)
class Figure:
    """One process: what it did, its wall time and peak memory."""

    name: str
    rows: int
    seconds: float
    peak_mib: float


def choose(counts: dict[str, int], sequences: int, rows: int) -> dict[str, int]:
    """Real sequences whose frames add up to ``rows``: the first, then the best swap until it fits."""
    names = list(counts)
    inside, outside = names[:sequences], names[sequences:]
    while gap := rows - sum(counts[name] for name in inside):
        swaps = (
            (abs(gap - counts[new] + counts[old]), i, o)
            for i, old in enumerate(inside)
            for o, new in enumerate(outside)
        )
        left, i, o = min(swaps)
        if left >= abs(gap):
            raise click.ClickException(f"no {sequences} sequences found whose frames add up to {rows}")
        inside[i], outside[o] = outside[o], inside[i]
    return {name: counts[name] for name in names if name in set(inside)}


def write(counts: Path, out: Path) -> None:
    """Write a submission with random labels for a list of videos and frame counts."""
    rng = np.random.default_rng(0)
    videos = frame_counts(read_reference(counts))
    write_submission(out, ((name, rng.integers(0, len(EXPRESSIONS), n)) for name, n in videos.items()))


def measure(name: str, rows: int, command: list[str]) -> Figure:
    """Run a process to its end and have the system account for it."""
    paths = [str(ROOT / "runtime"), str(ROOT / "train"), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.DEVNULL, env=environment) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)} ended with {process.returncode}")
    return Figure(name, rows, time.perf_counter() - started, usage.ru_maxrss / 1024)


def measure_both(counts: dict[str, int], label: str, folder: Path) -> list[Figure]:
    """Write and check one submission."""
    listed, out = folder / f"{label}.txt", folder / f"{label}_submission.txt"
    listed.write_text("".join(f"{name} {count}\n" for name, count in counts.items()), encoding="utf-8")
    rows = sum(counts.values())
    writing = [str(Path(__file__).resolve()), "--write", str(listed), str(out)]
    checking = [str(ROOT / "train" / "submission.py"), "check", str(out), "--template"]
    return [
        measure(f"write, {label}", rows, writing),
        measure(f"check against a list, {label}", rows, [*checking, str(listed)]),
        measure(f"check against a template, {label}", rows, [*checking, str(out)]),
    ]


def report(figures: list[Figure], test_size: list[Figure]) -> bool:
    """Print and save; whether writing and checking the test set's size stay within the limits."""
    for figure in figures:
        click.echo(
            f"{figure.name:45} {figure.rows:9,} rows {figure.seconds:6.2f} s {figure.peak_mib:6.0f} MiB"
        )
    seconds = test_size[0].seconds + max(figure.seconds for figure in test_size[1:])
    peak = max(figure.peak_mib for figure in test_size)
    holds = seconds < LIMIT_SECONDS and peak < LIMIT_MIB
    click.echo(f"{SEQUENCES} sequences, {ROWS:,} rows, written and checked: {'ok' if holds else 'MISSED'}")
    click.echo(f"  {seconds:.2f} s (limit {LIMIT_SECONDS:g}), {peak:.0f} MiB (limit {LIMIT_MIB:g})")
    result = {
        "seconds": round(seconds, 2),
        "limit_seconds": LIMIT_SECONDS,
        "peak_mib": round(peak, 1),
        "limit_mib": LIMIT_MIB,
        "figures": [vars(figure) for figure in figures],
    }
    click.echo(f"saved {save('submission', result)}")
    return holds


@click.command(help=__doc__)
@click.option("--write", "writing", nargs=2, type=click.Path(path_type=Path), hidden=True)
def main(writing: tuple[Path, Path] | None) -> None:
    """Measure, print, save; exit with 1 where a limit is missed."""
    if writing:
        write(*writing)
        return
    media = os.environ.get("EMOREC_TEST_MEDIA")
    if not media:
        raise click.UsageError("EMOREC_TEST_MEDIA names no folder of real media")
    counts = frame_counts(read_reference(Path(media) / COUNTS))
    with tempfile.TemporaryDirectory() as folder:
        test_size = measure_both(choose(counts, SEQUENCES, ROWS), "228 sequences", Path(folder))
        everything = measure_both(counts, "all 548 videos", Path(folder))
    if not report([*test_size, *everything], test_size):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
