"""Programs that are killed outright, again and again, then run to their end: the same results, no litter.

    python benchmarks/kills.py            # 20 kills of each program
    python benchmarks/kills.py --kills 2  # to try this program
    python benchmarks/kills.py --only cache --only collect

Each program runs once undisturbed. Then it is started and killed (SIGKILL) after a random part of that time,
so many times, into one place; where it has ended before, it starts anew in an empty place. A last run must
give what the undisturbed one gave, and leave nothing hidden. Models are tiny, their weights random. The
result goes to ``benchmarks/results/kills.json``; exit code 1 where something differs or is left behind.
"""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
from machine import save

from emorec_train.data.synthetic import ClipSpec, draw_clip, write_clip

ROOT: Final = Path(__file__).resolve().parents[1]
DEMO_CLIP: Final = ROOT / "examples" / "demo.mp4"
FOLDERS: Final = ("runtime", "train", "export", "calibration", "tests")
TINY: Final = ("--preset", "tiny", "--random-encoders")
TRAIN: Final = (str(ROOT / "tests" / "tiny_commands.py"),)
QUICK_BUILD: Final = ("--test-clips", "1", "--max-drop", "1")
KEPT_IN_THE_OPEN: Final = {"lock", ".emorec-done.jsonl"}
"""Files that are no result and belong there."""

FILES: Final = 12


@dataclass(frozen=True)
class Program:
    """A program that is killed.

    Attributes:
        name: Of the row in the table.
        command: Arguments of Python; ``OUT`` stands for the folder of its results.
        compared: Patterns of the results that must be the same bytes.
    """

    name: str
    command: tuple[str, ...]
    compared: tuple[str, ...] = ("**/*",)


@dataclass(frozen=True)
class Killed:
    """Outcome of one program.

    Attributes:
        name: The program.
        kills: Runs that were killed before their end.
        seconds: An undisturbed run.
        results: Files that were compared.
        differing: Those that differ or are missing.
        left: Hidden or half-written files after the last run.
    """

    name: str
    kills: int
    seconds: float
    results: int
    differing: list[str]
    left: list[str]


def programs(folder: Path) -> dict[str, Program]:
    """All programs, and the material that they take from ``folder``."""
    clips, checkpoint, bundle, ranges = (
        folder / name for name in ("clips", "checkpoint", "bundle", "ranges.json")
    )
    rows = [word for name in ("csv", "srt", "png", "mp4") for word in ("--format", name)]
    runtime = ("-m", "emorec_rt", "-q", "--backend", "onnxruntime", "--threads", "1", "--out-dir", "OUT")
    build = (str(ROOT / "export" / "build_engine.py"), "--checkpoint", str(checkpoint))
    collect = (str(ROOT / "calibration" / "collect.py"),)
    listed = (
        Program("run", (*runtime, str(DEMO_CLIP), *rows)),
        Program("folder --resume", (*runtime, str(clips), "--format", "csv", "--resume")),
        Program("cache", (*TRAIN, "cache.py", *TINY, "--data", f"folder:{clips}", "--out", "OUT")),
        Program(
            "train --resume",
            (*TRAIN, "run.py", *TINY, "--resume", "--set", "fusion.epochs=6", "--out", "OUT/run"),
            ("run/*.safetensors", "run/*.csv"),
        ),
        Program(
            "collect",
            (*collect, "--bundle", str(bundle), "--out", "OUT/r.json", str(clips)),
        ),
        Program(
            "build",
            (*build, "--int8", "--calib", str(ranges), *QUICK_BUILD, "--out", "OUT/bundle"),
            ("bundle/*.onnx",),
        ),
    )
    return {program.name: program for program in listed}


def lay_out(folder: Path) -> None:
    """Make clips, a checkpoint, a bundle and ranges for the programs."""
    clips = folder / "clips"
    for index in range(FILES):
        place = clips / ("Anger", "Sadness")[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        write_clip(draw_clip(index, ClipSpec(seconds=1.0)), place / f"{index:02}.mp4")
    known = programs(folder)
    must(("-c", _CHECKPOINT, str(folder / "checkpoint")), folder)
    build = (str(ROOT / "export" / "build_engine.py"), "--checkpoint", str(folder / "checkpoint"))
    must((*build, *QUICK_BUILD, "--out", str(folder / "bundle")), folder)
    must(known["collect"].command, folder)
    shutil.copy(folder / "r.json", folder / "ranges.json")


_CHECKPOINT: Final = """
import sys
from pathlib import Path
from tiny_model import tiny_checkpoint
tiny_checkpoint(Path(sys.argv[1]))
"""


def start(command: tuple[str, ...], out: Path) -> subprocess.Popen[bytes]:
    """Start a program that writes into ``out``, in a group of processes of its own."""
    words = [word.replace("OUT", str(out)) for word in command]
    paths = os.pathsep.join(str(ROOT / name) for name in FOLDERS)
    return subprocess.Popen(
        [sys.executable, *words],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )


def must(command: tuple[str, ...], out: Path) -> float:
    """Run a program to its end; the seconds that it took.

    Raises:
        ClickException: It failed.
    """
    begun = time.perf_counter()
    with start(command, out) as process:
        _, said = process.communicate()
    if process.returncode:
        raise click.ClickException(f"{' '.join(command)}: {said.decode(errors='replace')[-800:]}")
    return time.perf_counter() - begun


def killed(command: tuple[str, ...], out: Path, seconds: float) -> bool:
    """Start a program, kill it and all its processes; ``False`` where it had ended by itself."""
    with start(command, out) as process:
        try:
            process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return True
    return False


def hashes(folder: Path, patterns: tuple[str, ...]) -> dict[str, str]:
    """Hash of each result, by its path in the folder."""
    files = {path for pattern in patterns for path in folder.glob(pattern) if path.is_file()}
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
        if path.name not in KEPT_IN_THE_OPEN
    }


def litter(folder: Path, wanted: set[str]) -> list[str]:
    """Files and folders that an undisturbed run doesn't leave."""
    return sorted({str(path.relative_to(folder)) for path in folder.rglob("*")} - wanted)


def torture(program: Program, folder: Path, kills: int, seed: int, say: Callable[[str], None]) -> Killed:
    """Kill a program so many times, let it end, and compare."""
    draw = random.Random(seed)  # noqa: S311 - moments, no secret
    calm, rough = folder / "calm", folder / "rough"
    calm.mkdir(parents=True)
    seconds = must(program.command, calm)
    expected = hashes(calm, program.compared)
    everything = {str(path.relative_to(calm)) for path in calm.rglob("*")}
    rough.mkdir()
    done = tries = 0
    while done < kills and tries < 4 * kills:
        tries += 1
        if killed(program.command, rough, draw.uniform(0.05, 1.0) * seconds):
            done += 1
        else:
            shutil.rmtree(rough)
            rough.mkdir()
    must(program.command, rough)
    found = hashes(rough, program.compared)
    differing = sorted(name for name in expected if found.get(name) != expected[name])
    result = Killed(
        program.name, done, round(seconds, 2), len(expected), differing, litter(rough, everything)
    )
    say(f"{program.name:16} {done:3} kills of {seconds:6.1f} s  {len(expected):3} results  "
        f"{len(differing)} differ, {len(result.left)} left")  # fmt: skip
    return result


@click.command(help=__doc__)
@click.option("--kills", type=click.IntRange(1), default=20, show_default=True, help="Of each program.")
@click.option("--only", multiple=True, help="Only this program; may be repeated.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the moments.")
def main(kills: int, only: tuple[str, ...], seed: int) -> None:
    """Kill, compare, print, save; exit with 1 where something is wrong."""
    with tempfile.TemporaryDirectory(prefix="emorec-kills-") as name:
        folder = Path(name)
        lay_out(folder)
        chosen = [program for key, program in programs(folder).items() if not only or key in only]
        outcomes = [
            torture(program, folder / f"work{index}", kills, seed + index, click.echo)
            for index, program in enumerate(chosen)
        ]
    wrong = [outcome for outcome in outcomes if outcome.differing or outcome.left]
    for outcome in wrong:
        click.echo(f"WRONG: {outcome.name}: differ {outcome.differing}, left {outcome.left}")
    if not only:
        click.echo(f"saved {save('kills', {'programs': [asdict(outcome) for outcome in outcomes]})}")
    if wrong:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
