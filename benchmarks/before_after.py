"""The program before and after changes: its time, side by side, and the rows that it writes.

    python benchmarks/before_after.py 1a4f9b6 --bundle CACHE/bundle MEDIA/faces/grid/bbaf2n.mpg
    python benchmarks/before_after.py HEAD~20 --bundle CACHE/bundle --runs 1 MEDIA/faces  # rows of every file

The commit's runtime is unpacked beside this one. Both run in this environment, in turns, on the same bundle;
``python benchmarks/random_bundle.py CACHE --preset reference`` makes one of full size. Rows are compared as
csv, by column. Writes ``benchmarks/results/before_after.json``; exit code 1 where the change made it slower
by more than 3 %, which is what runs differ by.
"""

from __future__ import annotations

import csv
import io
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

import click
from machine import save

ROOT: Final = Path(__file__).parents[1]
MAIN: Final = "from emorec_rt.cli import main; main()"
SLOWER: Final = 1.03


@dataclass
class Compared:
    """One input, before and after.

    Attributes:
        name: Of the file.
        rows: After.
        seconds_before: Of whole processes, for each run.
        seconds_after: Likewise.
        differing: Rows that differ, by column; ``rows`` stands for a difference in their number.
    """

    name: str
    rows: int = 0
    seconds_before: list[float] = field(default_factory=list)
    seconds_after: list[float] = field(default_factory=list)
    differing: dict[str, int] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Time after, as a share of the time before; medians."""
        return statistics.median(self.seconds_after) / statistics.median(self.seconds_before)


def unpack(commit: str, folder: Path) -> Path:
    """The runtime of a commit; the folder to import it from."""
    told = subprocess.run(
        ["git", "archive", commit, "runtime"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if told.returncode:
        raise click.UsageError(f"{commit}: {told.stderr.decode(errors='replace').strip()}")
    with tarfile.open(fileobj=io.BytesIO(told.stdout)) as archive:
        archive.extractall(folder, filter="data")
    return folder / "runtime"


def run(runtime: Path, options: Sequence[str], file: Path, out: Path) -> tuple[float, str]:
    """Run a program on a file; seconds, and its rows as csv, or the line that says why there are none."""
    out.unlink(missing_ok=True)
    begun = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", MAIN, str(file), "--out", str(out), "-q", *options],
        env={**os.environ, "PYTHONPATH": str(runtime)},
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.perf_counter() - begun
    return seconds, out.read_text(encoding="utf-8") if out.is_file() else done.stderr.strip()[-200:]


def differing(before: str, after: str) -> dict[str, int]:
    """Rows that differ, by column."""
    if before == after or not (_has_rows(before) or _has_rows(after)):
        return {}
    if not _has_rows(before):
        raise click.ClickException(f"the commit can't run it: {before}")
    first, second = (list(csv.DictReader(io.StringIO(text))) for text in (before, after))
    found = Counter(
        name
        for one, other in zip(first, second, strict=False)
        for name in one
        if one[name] != other.get(name)
    )
    if len(first) != len(second):
        found["rows"] = abs(len(first) - len(second))
    return dict(found)


def _has_rows(text: str) -> bool:
    return text.startswith("frame,")


def compare(runtimes: tuple[Path, Path], options: Sequence[str], file: Path, runs: int) -> Compared:
    """Run both on one file, in turns."""
    result = Compared(file.name)
    with tempfile.TemporaryDirectory(prefix="emorec-") as folder:
        for index in range(runs):
            texts = ["", ""]
            for which in (0, 1) if index % 2 == 0 else (1, 0):
                seconds, texts[which] = run(runtimes[which], options, file, Path(folder) / "rows.csv")
                (result.seconds_after if which else result.seconds_before).append(round(seconds, 2))
        result.rows = texts[1].count("\n") - 1 if _has_rows(texts[1]) else 0
        result.differing = differing(*texts)
    told = ", ".join(f"{name} {count}" for name, count in result.differing.items()) or "same bytes"
    click.echo(f"{result.name:40} {result.rows:6} rows  time {result.ratio:5.2f} of before  {told}")
    return result


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("commit")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--bundle", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--backend", default="onnxruntime", show_default=True)
@click.option("--precision", default="int8", show_default=True)
@click.option("--runs", type=click.IntRange(1), default=3, show_default=True)
def main(
    commit: str, inputs: tuple[Path, ...], bundle: Path, backend: str, precision: str, runs: int
) -> None:
    """Compare every file, print, save."""
    files = [path for one in inputs for path in ([one] if one.is_file() else sorted(one.rglob("*.*")))]
    options = ("--bundle", str(bundle.resolve()), "--backend", backend, "--precision", precision)
    with tempfile.TemporaryDirectory(prefix="emorec-") as folder:
        runtimes = (unpack(commit, Path(folder)), ROOT / "runtime")
        compared = [compare(runtimes, options, path.resolve(), runs) for path in files]
    ratio = statistics.median(one.ratio for one in compared)
    same = sum(not one.differing for one in compared)
    click.echo(
        f"{same} of {len(compared)} files: the same bytes; time {ratio:.2f} of before (limit {SLOWER})"
    )
    result = {"commit": commit, "backend": backend, "ratio": round(ratio, 3), "limit": SLOWER}
    click.echo(f"saved {save('before_after', {**result, 'files': [asdict(one) for one in compared]})}")
    if ratio > SLOWER:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
