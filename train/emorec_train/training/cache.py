"""Caches of features, filled with every split of a data set: ``train/cache.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from emorec_train.console import say
from emorec_train.data.dataset_clips import DataRequest
from emorec_train.features.cache.settings import Storage
from emorec_train.features.extract import fill_cache, open_cache
from emorec_train.model.build import build_models, find_device, place_encoders
from emorec_train.settings.fields import Preset
from emorec_train.training.clips import every_clip, open_source
from emorec_train.training.encoders import EncoderChoice, choose_encoders, freeze_encoders


@dataclass(frozen=True, slots=True)
class CacheRun:
    """Options of ``make_cache``.

    Attributes:
        preset: Model; its encoders are frozen.
        data: Data sets.
        out: Folder of the cache.
        seed: Seed of random weights.
        workers: Processes that decode and crop.
        encoders: Which encoders.
        device: Where the encoders run, ``cpu`` or ``cuda``.
        storage: Type on disk.
        remake: Throw away a cache of other settings.
    """

    preset: Preset
    data: DataRequest
    out: Path
    seed: int
    workers: int
    encoders: EncoderChoice
    device: str = "cpu"
    storage: Storage = "float32"
    remake: bool = False


def make_cache(run: CacheRun) -> None:
    """Complete a cache with every split of the data.

    Raises:
        EmorecError: Something is wrong with the data, the weights or the folder.
    """
    preset = choose_encoders(run.preset, run.encoders)
    source, preset = open_source(preset, run.data, workers=run.workers, cache=run.out)
    torch.manual_seed(run.seed)
    models = build_models(preset.model, pretrained=run.encoders.pretrained, offline=run.encoders.offline)
    freeze_encoders(models)
    place_encoders(models, find_device(run.device))
    spec = preset.model.preprocessing
    with open_cache(run.out, spec, models, storage=run.storage, remake=run.remake) as cache:
        clip_ids = every_clip(source)
        added = fill_cache(cache, source, clip_ids, spec, models, workers=run.workers)
        held = sum(source.fingerprint(clip_id) in cache for clip_id in clip_ids)
    say(f"{run.out}: {held} of {len(clip_ids)} clips, {added} of them new")
