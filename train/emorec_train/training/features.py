"""Windows of features of every split, from frozen encoders or from encoders that are trained here first."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec

from emorec_train.console import Stopwatch, say
from emorec_train.data.dataset_clips import DatasetClips
from emorec_train.data.datasets import DatasetError
from emorec_train.data.source import ClipSource, GeneratedClips
from emorec_train.data.synthetic import SPLITS, Split
from emorec_train.features.crops import CroppedClip, crop_clips
from emorec_train.features.extract import cached_windows, extract, fill_cache, open_cache
from emorec_train.features.windows import ClipWindows, clip_windows
from emorec_train.model.build import Models
from emorec_train.settings.fields import Preset
from emorec_train.training.clips import every_clip, generated_faces
from emorec_train.training.encoders import encoders_of, freeze_encoders, trains_encoders
from emorec_train.training.pretrain import train_audio, train_vision
from emorec_train.training.state import read_modules, write_modules

Windows = dict[Split, list[ClipWindows]]


def make_windows(
    source: ClipSource,
    preset: Preset,
    models: Models,
    watch: Stopwatch,
    *,
    seed: int,
    workers: int,
    cache: Path | None = None,
    kept: Path | None = None,
) -> Windows:
    """Windows of features of every split; the encoders are frozen afterwards.

    Args:
        source: The clips.
        preset: Model and settings.
        models: Its modules.
        watch: Times the stages.
        seed: Of what is random in training.
        workers: Processes that draw, decode and crop.
        cache: Folder for the features of frozen encoders.
        kept: File for the encoders that are trained here; those that are there already are taken.

    Raises:
        CheckpointError: What was kept is of another run.
        DatasetError: Too little of the data could be read.
        CacheError: The cache is of other settings.
    """
    if trains_encoders(preset):
        windows = _with_own_encoders(source, preset, models, watch, seed, workers, kept)
    else:
        freeze_encoders(models)
        with watch.stage("features"):
            windows = _with_frozen_encoders(source, preset, models, workers, cache)
    _check(source, windows)
    return windows


def _with_frozen_encoders(
    source: ClipSource, preset: Preset, models: Models, workers: int, cache: Path | None
) -> Windows:
    spec = preset.model.preprocessing
    if cache is None:
        clips = extract(source, every_clip(source), spec, models, workers=workers)
        by_id = {clip.clip_id: clip for clip in clips}
        return {
            split: [by_id[clip_id] for clip_id in source.clip_ids(split) if clip_id in by_id]
            for split in SPLITS
        }
    with open_cache(cache, spec, models) as features:
        fill_cache(features, source, every_clip(source), spec, models, workers=workers)
        return {split: cached_windows(features, source, source.clip_ids(split)) for split in SPLITS}


def _with_own_encoders(
    source: ClipSource,
    preset: Preset,
    models: Models,
    watch: Stopwatch,
    seed: int,
    workers: int,
    kept: Path | None,
) -> Windows:
    spec = preset.model.preprocessing
    with tempfile.TemporaryDirectory(prefix="emorec-train-") as scratch:
        with watch.stage("clips"):
            every = every_clip(source)
            records = {
                clip.clip_id: clip
                for clip in crop_clips(source, every, spec.vision, Path(scratch), workers=workers)
            }
            by_split = {
                split: [records[clip_id] for clip_id in source.clip_ids(split) if clip_id in records]
                for split in SPLITS
            }
        fingerprint = _fingerprint(source, by_split["train"], preset, seed)
        if kept is not None and read_modules(kept, fingerprint, encoders_of(models)):
            say("encoders: as the stopped run has trained them")
            freeze_encoders(models)
        else:
            with watch.stage("faces"):
                faces = _faces(source, preset, Path(scratch), workers)
            with watch.stage("encoders"):
                _train_encoders(models, faces or by_split["train"], by_split["train"], preset, seed)
            if kept is not None:
                write_modules(kept, fingerprint, encoders_of(models))
        with watch.stage("features"):
            return {
                split: clip_windows(clips, spec, models.vision, models.audio, f"{split} features")
                for split, clips in by_split.items()
            }


def _faces(source: ClipSource, preset: Preset, scratch: Path, workers: int) -> list[CroppedClip]:
    """Faces that the visual encoder learns from, where the clips are generated and the preset asks for it."""
    if not (isinstance(source, GeneratedClips) and preset.faces):
        return []
    faces = generated_faces(preset)
    vision = preset.model.preprocessing.vision
    return list(crop_clips(faces, faces.clip_ids("train"), vision, scratch, workers=workers, label="faces"))


def _train_encoders(
    models: Models, faces: list[CroppedClip], clips: list[CroppedClip], preset: Preset, seed: int
) -> None:
    if preset.vision.steps:
        train_vision(models.vision, models.text, preset.model.labels, faces, preset.vision, seed)
    if preset.audio.steps:
        spec, classes = preset.model.preprocessing.audio, len(preset.model.labels)
        train_audio(models.audio, spec, classes, clips, preset.audio, seed)
    freeze_encoders(models)


def _fingerprint(source: ClipSource, clips: Sequence[CroppedClip], preset: Preset, seed: int) -> str:
    """Of all that decides what the encoders learn."""
    digest = hashlib.sha256(msgspec.json.encode((preset, seed)))
    for clip in clips:
        digest.update(source.fingerprint(clip.clip_id).encode() + clip.truth.labels.tobytes())
    return digest.hexdigest()


def _check(source: ClipSource, windows: Windows) -> None:
    """Refuse splits and classes of which nothing could be read."""
    for split in ("train", "validation"):
        if not windows[split]:
            raise DatasetError(
                "training data", f"no clip of the {split} split could be read; see the lines above"
            )
    if isinstance(source, DatasetClips):
        source.require_classes([clip.clip_id for clip in windows["train"]])
