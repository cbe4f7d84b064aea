"""The whole chain at full size, against PyTorch and against the vision encoder alone.

    EMOREC_TEST_MEDIA=MEDIA python benchmarks/throughput.py --cache CACHE
    python benchmarks/throughput.py --cache CACHE --clip interview.mp4
    python benchmarks/throughput.py --cache CACHE --quick        # small models, seconds instead of minutes

A bundle with the reference preset's size and random weights is made once, in FP32 and INT8, into CACHE. The
clip (any video with a face and sound) is repeated to about a minute, its pictures played at 25 a second. Each
contender runs in a process of its own, one after the other, so that all ratios are of one run on one machine;
those in PyTorch take the first ``--eager-seconds`` alone, and are compared by seconds of media a second. The
result goes to ``benchmarks/results/throughput.MACHINE.json``; exit code 1 where a limit is missed (not with
``--quick``).
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import av
import click
from figure import Figure, refuse_missed
from first_run import repeat_clip
from machine import save
from throughput_contenders import CONTENDERS

HERE: Final = Path(__file__).parent
DEFAULT_CLIP: Final = Path("faces") / "pyfeat" / "WolfgangLanger_Pexels.mp4"
"""In the folder of real media: 640x360, 24 frames a second, 20 s, a face in every frame, silence
for sound (which is as much work as speech)."""

FPS: Final = 25
"""At which its pictures are played."""

BACKENDS: Final = ("tensorrt", "openvino", "onnxruntime")
"""Fastest first, as ``--backend auto`` chooses."""

Result = dict[str, Any]


def run_contender(name: str, folder: Path, clip: Path, seconds: float) -> Result:
    """Run a contender in a process of its own."""
    command = [
        sys.executable,
        str(HERE / "throughput_contenders.py"),
        name,
        str(folder),
        str(clip),
        str(seconds),
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise click.ClickException(f"{name} ended with {done.returncode}")
    result: Result = json.loads(done.stdout.splitlines()[-1])
    if "skipped" not in result:
        result["times_real_time"] = result["media_seconds"] / result["wall_seconds"]
        result["frames_per_second"] = result["frames"] / result["wall_seconds"]
    return result


def best_backend(results: Mapping[str, Result]) -> str:
    """The one that was fastest."""
    ran = [name for name in BACKENDS if "skipped" not in results[f"emorec {name} INT8"]]
    return max(ran, key=lambda name: results[f"emorec {name} INT8"]["times_real_time"])


def ratios(results: Mapping[str, Result], long: Result) -> list[Figure]:
    """Limits of INT8 on the best backend.

    Args:
        results: By contender.
        long: The same contender on a clip that is ten times as long.
    """
    backend = best_backend(results)
    ours, alone = results[f"emorec {backend} INT8"], results[f"vision alone, {backend} INT8"]
    on_gpu = results["PyTorch, each window anew, CUDA"]
    eager = (
        on_gpu if backend == "tensorrt" and "skipped" not in on_gpu else results["PyTorch, each window anew"]
    )
    faster = ours["times_real_time"] / eager["times_real_time"]
    share = ours["frames_per_second"] / alone["frames_per_second"]
    growth = long["peak_mib"] - ours["peak_mib"]
    speed, peak = ours["times_real_time"], ours["peak_mib"]
    return [
        Figure("against PyTorch, each window anew", faster, "x", ">= 10"),
        Figure("speed", speed, "x real time", ">= 3.5"),
        Figure("against the vision encoder alone", share, "x", ">= 0.8"),
        Figure("peak memory", peak, "MiB", "<= 1200"),
        Figure("memory that ten times the length adds", growth, "MiB", "< 50"),
    ]


HEADER: Final = (
    f"{'contender':34}{'x real time':>12}{'frames/s':>10}{'first row s':>13}{'peak MiB':>10}  note"
)


def line(name: str, result: Result) -> str:
    """A contender's line below ``HEADER``."""
    if "skipped" in result:
        return f"{name:34}{'not run:':>12} {result['skipped']}"
    first = result["first_row_seconds"]
    return (
        f"{name:34}{result['times_real_time']:>12.2f}{result['frames_per_second']:>10.1f}"
        f"{'-' if first is None else f'{first:.2f}':>13}{result['peak_mib']:>10.0f}  {result['note']}"
    )


def prepared(cache: Path, preset: str) -> Path:
    """The folder of checkpoint and bundle, made if it isn't there."""
    folder = cache / preset
    if not (folder / "bundle" / "manifest.json").is_file():
        command = [sys.executable, str(HERE / "random_bundle.py"), str(folder), "--preset", preset]
        subprocess.run(command, check=True)
    return folder


def repeats(clip: Path, seconds: float) -> int:
    """Number of repeats until the clip lasts ``seconds``."""
    with av.open(str(clip)) as reader:
        length = (reader.duration or 0) / av.time_base
    if not length:
        raise click.ClickException(f"{clip}: tells no duration; take another clip")
    return math.ceil(seconds / length)


def default_clip() -> Path:
    """The clip in the folder of real media."""
    media = os.environ.get("EMOREC_TEST_MEDIA")
    if not media:
        raise click.UsageError("give --clip, or set EMOREC_TEST_MEDIA")
    return Path(media) / DEFAULT_CLIP


def measure(
    folder: Path, clip: Path, seconds: float, eager_seconds: float
) -> tuple[dict[str, Result], Result]:
    """All contenders, and the best one on ten times the length.

    Each is printed as it ends: a run that somebody stops has said what it found.
    """
    with tempfile.TemporaryDirectory() as scratch:
        once, ten_times = (Path(scratch) / f"{name}{clip.suffix}" for name in ("once", "ten"))
        times = repeats(clip, seconds)
        repeat_clip(clip, once, times, FPS)
        repeat_clip(clip, ten_times, 10 * times, FPS)
        results = {}
        click.echo(HEADER)
        for name in CONTENDERS:
            results[name] = run_contender(name, folder, once, eager_seconds)
            click.echo(line(name, results[name]))
        best = f"emorec {best_backend(results)} INT8"
        long = run_contender(best, folder, ten_times, eager_seconds)
        click.echo(line(f"{best}, 10x", long))
        return results, long


@click.command(help=__doc__)
@click.option("--cache", type=click.Path(path_type=Path), required=True, help="Folder for the bundle.")
@click.option("--clip", type=click.Path(path_type=Path, exists=True, dir_okay=False), help="A talking face.")
@click.option("--seconds", default=60.0, show_default=True, help="Length of the clip, by repetition.")
@click.option("--eager-seconds", default=12.0, show_default=True, help="Of it, for PyTorch.")
@click.option("--quick", is_flag=True, help="Small models and a short clip: to try, not to measure.")
def main(cache: Path, clip: Path | None, seconds: float, eager_seconds: float, quick: bool) -> None:
    """Prepare, run, print, save; exit with 1 where a limit is missed."""
    clip = clip or default_clip()
    if quick:
        seconds, eager_seconds = min(seconds, 5.0), min(eager_seconds, 5.0)
    preset = "demo" if quick else "reference"
    results, long = measure(prepared(cache, preset), clip, seconds, eager_seconds)
    held = ratios(results, long)
    click.echo("\n".join(map(str, held)))
    if quick:
        return
    record = {
        "clip": clip.name,
        "backend": best_backend(results),
        "contenders": results,
        "ten_times_as_long": long,
        "ratios": [asdict(ratio) for ratio in held],
    }
    click.echo(f"saved {save('throughput', record, by_machine=True)}")
    refuse_missed(held)


if __name__ == "__main__":
    main()
