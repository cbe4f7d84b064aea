"""Clips that a model learns from: data sets on disk, or generated ones."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import UsageError
from emorec_train.console import say
from emorec_train.data.dataset_clips import DataRequest, open_clips
from emorec_train.data.source import ClipSource, GeneratedClips
from emorec_train.data.synthetic import SPLITS, ClipSpec, Split
from emorec_train.features.cache.store import MEDIA_FILE, require_cache_folder
from emorec_train.settings.fields import Preset
from emorec_train.training.encoders import trains_encoders

FACE_SECONDS: Final = 20.0
"""Long enough that every class is held well beyond its onset and offset."""

FACE_FPS: Final = 1.5
"""Pictures of one face that are closer in time hardly differ."""


def open_source(
    preset: Preset, data: DataRequest | None, *, workers: int, cache: Path | None = None
) -> tuple[ClipSource, Preset]:
    """The clips to train on, and the preset with their labels.

    Args:
        preset: Has the labels and the number of generated clips.
        data: Data sets on disk; ``None`` takes generated clips.
        workers: Processes that look at files.
        cache: Folder that remembers what was found in them.

    Raises:
        UsageError: A cache is asked for while the encoders are trained.
        DatasetError: The data can't be used.
    """
    if cache is not None and trains_encoders(preset):
        raise UsageError("a cache is for frozen encoders, and this preset trains its own")
    if data is None:
        return generated_clips(preset), preset
    if cache is not None:
        require_cache_folder(cache)
    memo = cache / MEDIA_FILE if cache else None
    clips = open_clips(data, tasks=preset.model.tasks, workers=workers, memo=memo)
    model = msgspec.structs.replace(preset.model, labels=clips.labels)
    counted = ", ".join(f"{split} {len(clips.clip_ids(split))}" for split in SPLITS)
    say(f"clips: {counted}; labels: {', '.join(clips.labels)}")
    return clips, msgspec.structs.replace(preset, model=model)


def generated_clips(preset: Preset) -> GeneratedClips:
    """The preset's clips: validation and test have a fifth of the training clips each."""
    held_out = max(2, preset.clips // 5)
    counts: dict[Split, int] = {"train": preset.clips, "validation": held_out, "test": held_out}
    return GeneratedClips(preset.model.labels, counts, ClipSpec(seconds=preset.clip_seconds))


def generated_faces(preset: Preset) -> GeneratedClips:
    """People of the training split who are in no clip, silent, a few pictures of each class."""
    spec = ClipSpec(seconds=FACE_SECONDS, fps=FACE_FPS, labels=EXPRESSIONS, sound=False)
    return GeneratedClips(preset.model.labels, {"train": preset.faces}, spec, skip=preset.clips)


def every_clip(source: ClipSource) -> list[str]:
    """Identities of the clips of all splits."""
    return [clip_id for split in SPLITS for clip_id in source.clip_ids(split)]
