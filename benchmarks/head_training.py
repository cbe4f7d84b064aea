"""Speed of training the reference's fusion from a cache of features, on two threads.

    python benchmarks/head_training.py

Features of the reference's shapes with random content are written and read by the cache of
``train/cache.py``, whose gathering of rows counts; the ``affwild2`` preset's fusion is trained on them with
batches of 16, modality dropout, text guidance and moving average included. Windows a second count reading,
forward pass, backward pass and step. The result goes to ``benchmarks/results/head_training.MACHINE.json``.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import msgspec
import numpy as np
import torch
from machine import save

from emorec_rt.bundle.manifest import Preprocessing
from emorec_rt.windows.window import Window
from emorec_train.features.cache import CacheSettings, FeatureCache
from emorec_train.features.windows import ClipWindows, stack_windows
from emorec_train.settings.presets import PRESETS
from emorec_train.training.fit import Fit
from emorec_train.training.processes import Processes

LIMIT = 20.0
BATCH = 16
THREADS = 2
CLIP_WINDOWS = 32


def cached_clips(folder: Path, windows: int) -> list[ClipWindows]:
    """Windows of the reference's shapes, written by the cache and read through it: no two rows are alike."""
    spec, rng = PRESETS["affwild2"].model.preprocessing, np.random.default_rng(0)
    made = list(random_windows(spec, rng, windows))
    keys = [f"random{first}" for first in range(0, windows, CLIP_WINDOWS)]
    with FeatureCache(folder, CacheSettings(preprocessing=spec, vision="random", audio="random")) as cache:
        for place, key in enumerate(keys):
            own = made[place * CLIP_WINDOWS : (place + 1) * CLIP_WINDOWS]
            cache.add(key, own, np.zeros(0))
    with FeatureCache(folder, CacheSettings(preprocessing=spec, vision="random", audio="random")) as cache:
        stored = {key: cache.load(key).windows for key in keys}
    steps = spec.window.steps
    return [
        ClipWindows(key, own, tuple(rng.integers(0, 8, (len(own), steps)))) for key, own in stored.items()
    ]


def random_windows(spec: Preprocessing, rng: np.random.Generator, count: int) -> Iterator[Window]:
    """Windows that share no step, every one with a face and sound."""
    T, S = spec.window.steps, spec.window_tokens
    for k in range(count):
        frames = rng.standard_normal((T, spec.vision.embedding_dim), dtype=np.float32)
        tokens = rng.standard_normal((S, spec.audio.embedding_dim), dtype=np.float32)
        times = (k * T + np.arange(T)) / 25.0
        yield Window(
            k * T, T, (k + 1) * T, times, frames, np.ones(T, np.float32), tokens, np.ones(S, np.float32)
        )


def measure(steps: int) -> dict[str, Any]:
    """Windows a second after a step to warm up."""
    torch.set_num_threads(THREADS)
    preset = PRESETS["affwild2"]
    settings = msgspec.structs.replace(preset.fusion, batch=BATCH)
    prototypes = torch.nn.functional.normalize(torch.randn(8, preset.model.vision.embed_dim), dim=-1)
    with tempfile.TemporaryDirectory(prefix="emorec-head-") as scratch:
        windows = stack_windows(cached_clips(Path(scratch) / "cache", BATCH * (steps + 1)))
        fit = Fit(preset.model, settings, windows, prototypes, 0, Processes())
        first, *rest = torch.split(torch.randperm(len(windows)), BATCH)
        fit.step([first])
        started = time.perf_counter()
        for index in rest:
            fit.step([index])
        seconds = time.perf_counter() - started
    return {
        "threads": THREADS,
        "batch": BATCH,
        "steps": steps,
        "windows_per_second": round(steps * BATCH / seconds, 2),
        "limit": LIMIT,
    }


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--steps", type=click.IntRange(min=1), default=40, show_default=True)
@click.option("--quick", is_flag=True, help="Try it out; nothing is saved.")
def main(steps: int, quick: bool) -> None:
    """Measure, print, save; exit with 1 where the limit is missed."""
    result = measure(2 if quick else steps)
    rate = result["windows_per_second"]
    verdict = "ok" if rate >= LIMIT else "MISSED"
    click.echo(f"head training: {rate:.1f} windows/s at batch {BATCH} (limit {LIMIT:g}): {verdict}")
    if quick:
        return
    click.echo(f"saved {save('head_training', result, by_machine=True)}")
    if rate < LIMIT:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
