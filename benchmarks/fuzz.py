"""Damaged media and damaged bundles through the real program: nothing may crash, hang or lose a row.

    python benchmarks/fuzz.py MEDIA... --files 1000 --bundles 50

MEDIA are folders of recordings, which are not part of the project. Each recording is made short, and damaged
copies (bits, cuts, zeros, noise, swapped blocks, splices, growth; the seed decides) go through the recogniser
with the default bundle, many in one process, the annotated video for each fifth of them. Each must end in a
complete result or in one line; PyAV's own plain decoding of the same bytes says how many rows there must be
at least. Damaged bundles go through the command line, one process each; each must end in one line and exit
code 1 or 2. The result goes to ``benchmarks/results/fuzz.json``; exit code 1 where anything was wrong.

    python benchmarks/fuzz.py MEDIA... --only 17 --keep /tmp/fuzz     # one case again, its file kept
    python benchmarks/fuzz.py MEDIA... --again    # the faulty files of the last result, to correct it
"""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import click
import fuzz_bundles
import fuzz_damage
from machine import RESULTS, save

from emorec_rt.media.container import SELF_CONTAINED_FORMATS

RESULT: Final = RESULTS / "fuzz.json"
WORKER: Final = Path(__file__).with_name("fuzz_worker.py")
CLIP: Final = Path(__file__).parents[1] / "examples" / "demo.mp4"
ANNOTATE_EVERY: Final = 5
SHORTEST_SOUND_SECONDS: Final = 0.1
"""Less sound needn't make a row."""

MOST_MIB: Final = 1500.0
"""Peak memory of a process above which a file is taken to have asked for too much."""


@dataclass(frozen=True)
class Case:
    """Outcome of one file or bundle.

    Attributes:
        index: Its number; with the seed it makes the same case again.
        name: Damage and origin.
        outcome: ``done``, ``failed`` (in one line), ``traceback``, ``hang`` or ``crash``.
        rows: Rows of the result; ``None`` without one.
        reference_frames: Frames that PyAV alone decodes; ``None`` where that says nothing.
        reference_sound_seconds: Sound that it decodes; likewise.
        fault: What is wrong, ``None`` where nothing is.
        line: The error line, if one was said.
    """

    index: int
    name: str
    outcome: str
    rows: int | None = None
    reference_frames: int | None = None
    reference_sound_seconds: float | None = None
    fault: str | None = None
    line: str | None = None


class Worker:
    """A process that is asked one file after another, and started again when it dies.

    Args:
        role: ``recognise`` or ``reference``.
        out: Folder for its results.
        timeout_seconds: How long one file may take.
    """

    def __init__(self, role: str, out: Path, timeout_seconds: float) -> None:
        self._command = [sys.executable, str(WORKER), role, str(out)]
        self._timeout_seconds = timeout_seconds
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as this object
        self._process: subprocess.Popen[bytes] | None = None
        self.peak_mib = 0.0

    def ask(self, path: Path, *, annotate: bool = False) -> dict[str, Any]:
        """Run one file; a process that dies or stands still is an answer too."""
        process = self._running()
        assert process.stdin is not None  # noqa: S101 - it was asked for
        assert process.stdout is not None  # noqa: S101
        process.stdin.write(json.dumps({"path": str(path), "annotate": annotate}).encode() + b"\n")
        process.stdin.flush()
        if not select.select([process.stdout], [], [], self._timeout_seconds)[0]:
            self.stop()
            return {"outcome": "hang", "complaint": f"no answer in {self._timeout_seconds:.0f} s"}
        reply = process.stdout.readline()
        if not reply:
            return {"outcome": "crash", "complaint": self._last_words(process)}
        answer: dict[str, Any] = json.loads(reply)
        self.peak_mib = max(self.peak_mib, answer["peak_mib"])
        if answer["peak_mib"] > MOST_MIB:
            self.stop()  # the next file starts from a small process again
        return answer

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._process = subprocess.Popen(
                self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors
            )
        return self._process

    def _last_words(self, process: subprocess.Popen[bytes]) -> str:
        code = process.wait()
        self._errors.seek(max(self._errors.seek(0, os.SEEK_END) - 500, 0))
        said = " ".join(self._errors.read().decode("utf-8", "replace").split())
        return f"ended by {signal.Signals(-code).name if code < 0 else f'exit code {code}'}: {said}"


class Pair:
    """A recogniser and the reference beside it.

    Args:
        out: Folder for results.
        timeout_seconds: How long one file may take.
    """

    def __init__(self, out: Path, timeout_seconds: float) -> None:
        out.mkdir()
        self.recogniser = Worker("recognise", out, timeout_seconds)
        self.reference = Worker("reference", out, timeout_seconds)

    def judge(self, index: int, path: Path) -> Case:
        """Run a file through both, and compare."""
        answer = self.recogniser.ask(path, annotate=index % ANNOTATE_EVERY == 0)
        plain = _accepted(self.reference.ask(path))
        case = Case(
            index,
            path.name,
            answer["outcome"],
            answer.get("rows"),
            plain.get("frames"),
            plain.get("sound_seconds"),
            answer["complaint"],
            next(iter(answer.get("errors", ())), None),
        )
        return replace(case, fault=case.fault or _lost(case) or _greedy(answer))


def _accepted(answer: dict[str, Any]) -> dict[str, Any]:
    """Verdict of the reference; nothing where it read a format that is refused on purpose."""
    formats = set(SELF_CONTAINED_FORMATS.split(","))
    return answer if formats & set((answer.get("format") or "").split(",")) else {}


def _lost(case: Case) -> str | None:
    if case.reference_frames and (case.rows or 0) < case.reference_frames:
        return f"{case.rows} rows, PyAV decodes {case.reference_frames} frames: {case.line}"
    if not case.rows and (case.reference_sound_seconds or 0.0) > SHORTEST_SOUND_SECONDS:
        return f"no rows, PyAV decodes {case.reference_sound_seconds:.2f} s of sound: {case.line}"
    return None


def _greedy(answer: dict[str, Any]) -> str | None:
    peak = answer.get("peak_mib", 0.0)
    return f"peak memory {peak:.0f} MiB" if peak > MOST_MIB else None


def fuzz_files(
    clips: Sequence[Path], indices: Sequence[int], seed: int, folder: Path, jobs: int, timeout_seconds: float
) -> Iterator[Case]:
    """Damage and run files, ``jobs`` at a time; a file without a fault is deleted at once."""
    pairs: SimpleQueue[Pair] = SimpleQueue()
    kept = [Pair(folder / f"out{job}", timeout_seconds) for job in range(jobs)]
    for pair in kept:
        pairs.put(pair)

    def run(index: int) -> Case:
        pair = pairs.get()
        try:
            path = fuzz_damage.damaged(clips, seed, index, folder)
            case = pair.judge(index, path)
            if case.fault is None:
                path.unlink()
            return case
        finally:
            pairs.put(pair)

    try:
        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(run, indices)
    finally:
        for pair in kept:
            pair.recogniser.stop()
            pair.reference.stop()


def fuzz_bundle(index: int, seed: int, folder: Path, timeout_seconds: float) -> Case:
    """Damage and run one bundle."""
    kind, bundle = fuzz_bundles.damaged(seed, index, folder)
    out = bundle.parent / "rows.csv"
    program = "from emorec_rt.cli import main; main()"
    command = [sys.executable, "-c", program, str(CLIP), "--bundle", str(bundle), "--out", str(out)]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=timeout_seconds, check=False
        )
    except subprocess.TimeoutExpired:
        return Case(index, kind, "hang", fault=f"no end in {timeout_seconds:.0f} s")
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    case = Case(index, kind, _outcome(done), line=next(iter(errors), None))
    shutil.rmtree(bundle)
    return replace(case, fault=_bundle_fault(done, errors, out))


def _outcome(done: subprocess.CompletedProcess[str]) -> str:
    if "Traceback" in done.stderr:
        return "traceback"
    if done.returncode < 0:
        return "crash"
    return "failed" if done.returncode else "done"


def _bundle_fault(done: subprocess.CompletedProcess[str], errors: list[str], out: Path) -> str | None:
    if done.returncode not in {1, 2} or len(errors) != 1 or "Traceback" in done.stderr:
        tail = " ".join(done.stderr.split())[-300:]
        return f"exit code {done.returncode} with {len(errors)} error lines: {tail}"
    return "a result is there all the same" if out.exists() else None


def summary(cases: Sequence[Case]) -> dict[str, Any]:
    """Count the outcomes, and list what was wrong."""
    return {
        "cases": len(cases),
        "outcomes": dict(Counter(case.outcome for case in cases)),
        "compared": sum(case.reference_frames is not None for case in cases),
        "reference_frames": sum(case.reference_frames or 0 for case in cases),
        "rows": sum(case.rows or 0 for case in cases if case.reference_frames is not None),
        "faults": [asdict(case) for case in cases if case.fault],
    }


def corrected(result: dict[str, Any], again: Sequence[Case]) -> dict[str, Any]:
    """A summary after its faulty cases ran again: their new outcomes stand in place of the old ones."""
    before = {case["index"]: case for case in result["faults"]}
    outcomes = Counter(result["outcomes"])
    numbers = {name: result[name] for name in ("compared", "reference_frames", "rows")}
    for case in again:
        old = before.pop(case.index)
        if old["name"] != case.name:
            raise click.ClickException(f"case {case.index} was {old['name']}: give MEDIA as they were then")
        outcomes[old["outcome"]] -= 1
        outcomes[case.outcome] += 1
        for sign, one in ((-1, old), (1, asdict(case))):
            if one["reference_frames"] is not None:
                numbers["compared"] += sign
                numbers["reference_frames"] += sign * one["reference_frames"]
                numbers["rows"] += sign * (one["rows"] or 0)
    faults = [*before.values(), *(asdict(case) for case in again if case.fault)]
    return {**result, **numbers, "outcomes": dict(+outcomes), "faults": faults}


def report(title: str, result: dict[str, Any]) -> str:
    """Lines for a person."""
    outcomes = ", ".join(f"{count} {name}" for name, count in result["outcomes"].items())
    lines = [f"{title}: {result['cases']} cases, {outcomes}; {len(result['faults'])} faults"]
    if result["reference_frames"]:
        lines.append(f"  {result['rows']} rows for {result['reference_frames']} frames that PyAV decodes")
    faults = (
        f"  {case['index']} {case['name']} ({case['outcome']}): {case['fault']}" for case in result["faults"]
    )
    return "\n".join([*lines, *faults])


@click.command(help=__doc__)
@click.argument(
    "media", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True, file_okay=False)
)
@click.option("--files", default=1000, show_default=True, help="Damaged files.")
@click.option("--bundles", default=50, show_default=True, help="Damaged bundles.")
@click.option("--seed", default=0, show_default=True, help="Of all damage.")
@click.option("--jobs", default=os.cpu_count() or 1, show_default=True, help="Files at a time.")
@click.option("--timeout", default=60.0, show_default=True, help="Seconds for one file before it hangs.")
@click.option("--only", type=int, multiple=True, help="Run these files alone, and save nothing.")
@click.option("--again", is_flag=True, help="Run the faulty files of the last result again, and correct it.")
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for faulty files.  [default: none]")
def main(
    media: tuple[Path, ...],
    files: int,
    bundles: int,
    seed: int,
    jobs: int,
    timeout: float,
    only: tuple[int, ...],
    again: bool,
    keep: Path | None,
) -> None:
    """Run, print, save; exit with 1 where there was a fault."""
    started = time.perf_counter()
    last = json.loads(RESULT.read_text(encoding="utf-8")) if again else None
    if last is not None:
        only, seed = tuple(case["index"] for case in last["files"]["faults"]), last["seed"]
    with tempfile.TemporaryDirectory() as name:
        clips_folder, work = Path(name) / "clips", Path(name) / "work"
        clips_folder.mkdir()
        work.mkdir()
        clips = fuzz_damage.short_clips(media, clips_folder)
        found = fuzz_files(clips, only or range(files), seed, work, jobs, timeout)
        with click.progressbar(found, length=len(only) or files, label="files") as progress:
            cases = list(progress)
        of_files = summary(cases) if last is None else corrected(last["files"], cases)
        with click.progressbar(range(0 if only else bundles), label="bundles") as indices:
            of_bundles = summary([fuzz_bundle(index, seed, work, timeout) for index in indices])
        _keep(work, of_files, keep)
    if last is not None:
        of_bundles = last["bundles"]
        RESULT.write_text(json.dumps({**last, "files": of_files}, indent=2) + "\n", encoding="utf-8")
    click.echo(report("files", of_files))
    click.echo(report("bundles", of_bundles))
    if not only:
        result = {"seed": seed, "clips": len(clips), "files": of_files, "bundles": of_bundles}
        click.echo(f"saved {save('fuzz', {**result, 'seconds': time.perf_counter() - started})}")
    if of_files["faults"] or of_bundles["faults"]:
        raise SystemExit(1)


def _keep(work: Path, result: dict[str, Any], keep: Path | None) -> None:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        for case in result["faults"]:
            shutil.copy(work / case["name"], keep)


if __name__ == "__main__":
    main()
