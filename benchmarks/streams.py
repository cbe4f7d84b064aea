"""Many streams of one recogniser at once, beside one after the other: the same rows, and the time.

    python benchmarks/streams.py               # 8 threads of 25 files each
    python benchmarks/streams.py --threads 2 --files 3  # to try this program

Each thread reads files of its own through the one recogniser; then one thread reads all of them. Files are
copies of drawn clips of different lengths. The result goes to ``benchmarks/results/streams.MACHINE.json``;
exit code 1 where a row differs or the threads take longer.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import click
from machine import save

import emorec_rt
from emorec_train.data.synthetic import ClipSpec, draw_clip, write_clip

CLIPS: Final = 5
"""Different clips; each file is a copy of one."""

LIMIT: Final = 1.0
"""Least speed of all threads, as a share of one thread's."""

Rows = list[dict[str, Any]]


def make_files(folder: Path, count: int) -> list[Path]:
    """Draw clips of 2 to 4 s and copy them."""
    drawn = []
    for index in range(CLIPS):
        drawn.append(folder / f"clip{index}.mp4")
        write_clip(draw_clip(index, ClipSpec(seconds=2.0 + index / 2)), drawn[-1])
    return [Path(shutil.copy(drawn[k % CLIPS], folder / f"{k:03}.mp4")) for k in range(count)]


def read(recognizer: emorec_rt.Recognizer, files: Sequence[Path]) -> list[Rows]:
    """Rows of each file, one after the other."""
    return [[row.to_dict() for row in recognizer.stream(path)] for path in files]


def timed_threads(
    recognizer: emorec_rt.Recognizer, files: Sequence[Path], threads: int
) -> tuple[float, list[Rows]]:
    """Seconds and rows of so many threads, each with its share of the files."""
    shares = [files[index::threads] for index in range(threads)]
    begun = time.perf_counter()
    with ThreadPoolExecutor(threads) as pool:
        read_shares = list(pool.map(lambda share: read(recognizer, share), shares))
    seconds = time.perf_counter() - begun
    by_file = {path: rows for share, found in zip(shares, read_shares, strict=True)
               for path, rows in zip(share, found, strict=True)}  # fmt: skip
    return seconds, [by_file[path] for path in files]


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--threads", type=click.IntRange(2), default=8, show_default=True)
@click.option("--files", type=click.IntRange(1), default=25, show_default=True, help="Of each thread.")
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True, help="Of each way, in turns.")
def main(threads: int, files: int, runs: int) -> None:
    """Read both ways in turns, compare, print, save."""
    recognizer = emorec_rt.load()
    alone, together, differing = [], [], 0
    with tempfile.TemporaryDirectory(prefix="emorec-") as folder:
        paths = make_files(Path(folder), threads * files)
        read(recognizer, paths[:CLIPS])  # engines and caches warm
        for _ in range(runs):
            seconds, expected = timed_threads(recognizer, paths, 1)
            alone.append(round(seconds, 2))
            seconds, found = timed_threads(recognizer, paths, threads)
            together.append(round(seconds, 2))
            differing += sum(one != other for one, other in zip(found, expected, strict=True))
    speed = min(alone) / min(together)
    click.echo(
        f"{threads} threads of {files} files: {differing} files differ, {speed:.2f} x the speed of one"
    )
    result = {
        "threads": threads,
        "files": files,
        "differing": differing,
        "alone_seconds": alone,
        "together_seconds": together,
        "speed": round(speed, 3),
        "limit": LIMIT,
    }
    click.echo(f"saved {save('streams', result, by_machine=True)}")
    if differing or speed < LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
