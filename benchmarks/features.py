"""How close making the features of frozen encoders comes to the visual encoder alone, at full size.

    python benchmarks/features.py

Drawn clips are written as mp4, then decoded, cropped, encoded and kept as ``train/cache.py`` does it, sound
included, by the reference preset's encoders with random weights. The rate in frames a second stands beside
that of the visual encoder on crops in memory, at the batch where it is fastest, measured before and after.
The result goes to ``benchmarks/results/features.json``.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from machine import save

from emorec_rt.signal import EXPRESSIONS
from emorec_train.clips import ClipSpec, plan_clip
from emorec_train.clips.write import write_clip
from emorec_train.dataset_clips import DatasetClips
from emorec_train.datasets import ClipRecord
from emorec_train.datasets.facts import MediaFacts
from emorec_train.presets import REFERENCE

if TYPE_CHECKING:
    # Decoding processes import this file too; they do without torch.
    from emorec_train.model.build import Models

LIMIT = 0.8
BATCHES = (4, 8, 16, 32, 64)
QUICK_BATCHES = (8, 16)


def write_clips(folder: Path, count: int, seconds: float) -> DatasetClips:
    """Drawn clips on disk, as a data set of labelled videos."""
    records, facts = {}, {}
    for seed in range(count):
        path = folder / f"{seed}.mp4"
        write_clip(plan_clip(seed, ClipSpec(seconds=seconds, width=640, height=480)), path)
        records[str(seed)] = ClipRecord(str(seed), split="train", label="Neutral", video=path, sound=path)
        facts[path] = MediaFacts(content=str(seed))
    return DatasetClips(EXPRESSIONS, records, facts)


def vision_rates(models: Models, batches: tuple[int, ...], frames: int) -> dict[int, float]:
    """Frames a second of the frozen visual encoder alone, by batch."""
    import torch

    size = REFERENCE.model.preprocessing.vision.crop_size
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


def extraction_rate(models: Models, clips: DatasetClips, folder: Path, frames: int, workers: int) -> float:
    """Frames a second from files to a cache."""
    from emorec_train.extraction import fill_cache, open_cache

    spec = REFERENCE.model.preprocessing
    with open_cache(folder, spec, models) as cache:
        started = time.perf_counter()
        fill_cache(cache, clips, clips.clip_ids("train"), spec, models, workers=workers)
        return frames / (time.perf_counter() - started)


def measure(count: int, seconds: float, batches: tuple[int, ...], workers: int) -> dict[str, Any]:
    """All figures."""
    import torch

    from emorec_train.model.build import build_models
    from emorec_train.stages import freeze_encoders

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    models = build_models(REFERENCE.model, pretrained=False)
    freeze_encoders(models)
    frames = count * round(seconds * 25)
    with tempfile.TemporaryDirectory(prefix="emorec-features-") as scratch:
        clips = write_clips(Path(scratch), count, seconds)
        before = vision_rates(models, batches, max(batches))
        rate = extraction_rate(models, clips, Path(scratch) / "cache", frames, workers)
        after = vision_rates(models, batches, max(batches))
    alone = {batch: (before[batch] + after[batch]) / 2 for batch in batches}
    best = max(alone, key=lambda batch: alone[batch])
    return {
        "frames": frames,
        "workers": workers,
        "vision_frames_per_second": {str(batch): round(value, 2) for batch, value in alone.items()},
        "best_batch": best,
        "features_frames_per_second": round(rate, 2),
        "share": round(rate / alone[best], 3),
        "limit": LIMIT,
    }


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--clips", type=click.IntRange(min=1), default=8, show_default=True)
@click.option("--seconds", type=float, default=6.0, show_default=True, help="Of each clip.")
@click.option("--workers", type=click.IntRange(min=1), help="Decoding processes.  [default: one a core]")
@click.option("--quick", is_flag=True, help="Try it out; nothing is saved.")
def main(clips: int, seconds: float, workers: int | None, quick: bool) -> None:
    """Measure, print, save; exit with 1 where the limit is missed."""
    cores = len(os.sched_getaffinity(0))
    if quick:
        clips, seconds = 2, 2.0
    result = measure(clips, seconds, QUICK_BATCHES if quick else BATCHES, workers or cores)
    best = result["vision_frames_per_second"][str(result["best_batch"])]
    click.echo(f"visual encoder alone: {best:.2f} frames/s at batch {result['best_batch']}")
    click.echo(f"features, sound included: {result['features_frames_per_second']:.2f} frames/s")
    holds = result["share"] >= LIMIT
    click.echo(f"share: {result['share']:.3f} (limit {LIMIT:g}): {'ok' if holds else 'MISSED'}")
    if quick:
        return
    click.echo(f"saved {save('features', result)}")
    if not holds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
