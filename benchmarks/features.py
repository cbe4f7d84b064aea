"""Speed of making features with frozen encoders, beside that of the visual encoder alone.

    python benchmarks/features.py
    python benchmarks/features.py --crops
    python benchmarks/features.py --crops --preset demo

Drawn clips are written as mp4, then decoded, cropped, encoded and kept as ``train/cache.py`` does it, sound
included, by the preset's encoders with random weights. With ``--crops`` there are pictures of Aff-Wild2's
size beside the videos. The rate in frames a second stands beside that of the visual encoder on crops in
memory, at the batch where it is fastest, measured before and after. The result goes to
``benchmarks/results/features.json``, or to a file with the options in its name.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import cv2
import numpy as np
from machine import save

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.dataset_clips import DatasetClips
from emorec_train.data.datasets import ClipRecord, FrameFolder
from emorec_train.data.datasets.facts import MediaFacts
from emorec_train.data.synthetic import ClipSpec, plan_clip
from emorec_train.data.synthetic.write import write_clip
from emorec_train.settings.fields import Preset
from emorec_train.settings.presets import PRESETS

if TYPE_CHECKING:
    # Decoding processes import this file too; they do without torch.
    from emorec_train.model.build import Models

LIMITS = {"": 0.8, "-crops": 0.85, "-demo": 0.0, "-crops-demo": 0.9}
"""Share of the encoder's own rate, by the options in the result's name; decoding limits the demo's."""

CROP_SIDE = 112
BATCHES = (4, 8, 16, 32, 64)
QUICK_BATCHES = (8, 16)


def write_clips(folder: Path, count: int, seconds: float, *, crops: bool = False) -> DatasetClips:
    """Drawn clips on disk, as a data set of labelled videos, with crops beside them if asked for."""
    records, facts = {}, {}
    for seed in range(count):
        path = folder / f"{seed}.mp4"
        write_clip(plan_clip(seed, ClipSpec(seconds=seconds, width=640, height=480)), path)
        pictures = write_pictures(folder / str(seed), round(seconds * 25), seed) if crops else None
        records[str(seed)] = ClipRecord(
            str(seed), split="train", label="Neutral", video=path, sound=path, frames=pictures
        )
        facts[path] = MediaFacts(content=str(seed))
        if pictures is not None:
            facts[pictures.path] = MediaFacts(content=f"crops {seed}")
    return DatasetClips(EXPRESSIONS, records, facts)


def write_pictures(folder: Path, count: int, seed: int) -> FrameFolder:
    """Pictures of a size and softness as the challenge's crops have them."""
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(1, count + 1):
        coarse = rng.integers(0, 256, (14, 14, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number:05d}.jpg"), cv2.resize(coarse, (CROP_SIDE, CROP_SIDE)))
    return FrameFolder(folder, np.arange(1, count + 1))


def vision_rates(models: Models, preset: Preset, batches: tuple[int, ...], frames: int) -> dict[int, float]:
    """Frames a second of the frozen visual encoder alone, by batch."""
    import torch

    size = preset.model.preprocessing.vision.crop_size
    rates = {}
    for batch in batches:
        crops = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8))
        turns = max(1, frames // batch)
        with torch.inference_mode():
            models.vision(crops)
            started = time.perf_counter()
            for _ in range(turns):
                models.vision(crops)
        rates[batch] = turns * batch / (time.perf_counter() - started)
    return rates


def extraction_rate(
    models: Models, preset: Preset, clips: DatasetClips, folder: Path, frames: int, workers: int
) -> float:
    """Frames a second from files to a cache."""
    from emorec_train.features.extract import fill_cache, open_cache

    spec = preset.model.preprocessing
    with open_cache(folder, spec, models) as cache:
        started = time.perf_counter()
        fill_cache(cache, clips, clips.clip_ids("train"), spec, models, workers=workers)
        return frames / (time.perf_counter() - started)


def measure(
    preset: Preset, count: int, seconds: float, batches: tuple[int, ...], workers: int, *, crops: bool
) -> dict[str, Any]:
    """All figures."""
    import torch

    from emorec_train.model.build import build_models
    from emorec_train.training.encoders import freeze_encoders

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    models = build_models(preset.model, pretrained=False)
    freeze_encoders(models)
    frames = count * round(seconds * 25)
    with tempfile.TemporaryDirectory(prefix="emorec-features-") as scratch:
        clips = write_clips(Path(scratch), count, seconds, crops=crops)
        before = vision_rates(models, preset, batches, max(batches))
        rate = extraction_rate(models, preset, clips, Path(scratch) / "cache", frames, workers)
        after = vision_rates(models, preset, batches, max(batches))
    alone = {batch: (before[batch] + after[batch]) / 2 for batch in batches}
    best = max(alone, key=lambda batch: alone[batch])
    return {
        "frames": frames,
        "workers": workers,
        "vision_frames_per_second": {str(batch): round(value, 2) for batch, value in alone.items()},
        "best_batch": best,
        "features_frames_per_second": round(rate, 2),
        "share": round(rate / alone[best], 3),
    }


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--clips", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--seconds", type=float, default=6.0, show_default=True, help="Of each clip.")
@click.option("--workers", type=click.IntRange(min=1), help="Decoding processes.  [default: one a core]")
@click.option("--crops", is_flag=True, help="Take Aff-Wild2's layout: pictures of faces beside the videos.")
@click.option("--preset", type=click.Choice(["reference", "demo"]), default="reference", show_default=True)
@click.option("--quick", is_flag=True, help="Try it out; nothing is saved.")
def main(clips: int, seconds: float, workers: int | None, crops: bool, preset: str, quick: bool) -> None:
    """Measure, print, save; exit with 1 where the limit is missed."""
    cores = len(os.sched_getaffinity(0))
    if quick:
        clips, seconds = 2, 2.0
    batches = QUICK_BATCHES if quick else BATCHES
    result = measure(PRESETS[preset], clips, seconds, batches, workers or cores, crops=crops)
    options = ("-crops" if crops else "") + ("-demo" if preset == "demo" else "")
    result["limit"] = LIMITS[options]
    best = result["vision_frames_per_second"][str(result["best_batch"])]
    click.echo(f"visual encoder alone: {best:.2f} frames/s at batch {result['best_batch']}")
    click.echo(f"features, sound included: {result['features_frames_per_second']:.2f} frames/s")
    holds = result["share"] >= result["limit"]
    verdict = "ok" if holds else "MISSED"
    click.echo(f"share: {result['share']:.3f} (limit {result['limit']:g}): {verdict}")
    if quick:
        return
    click.echo(f"saved {save('features' + options, result, by_machine=True)}")
    if not holds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
