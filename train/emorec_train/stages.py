"""First half of a training run: clips, encoders that are trained here, and the features that come of them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from torch import nn

from emorec_rt.errors import UsageError
from emorec_rt.signal import EXPRESSIONS
from emorec_train.cache.settings import Storage
from emorec_train.cache.store import MEDIA_FILE, require_cache_folder
from emorec_train.clips import SPLITS, ClipSpec, Split
from emorec_train.data import ClipSource, GeneratedClips
from emorec_train.dataset_clips import DataRequest, DatasetClips, open_clips
from emorec_train.datasets import DatasetError
from emorec_train.extraction import cached_windows, extract, fill_cache, open_cache
from emorec_train.features import ClipWindows, clip_windows
from emorec_train.model.build import Models, build_models, freeze
from emorec_train.model.pretrained import adopt_pretrained
from emorec_train.pretrain import train_audio, train_vision
from emorec_train.progress import Stopwatch, say
from emorec_train.records import CroppedClip, crop_clips
from emorec_train.settings import EncoderSettings, Preset
from emorec_train.state import read_modules, write_modules

FACE_SECONDS = 20.0
"""Long enough that every class is held well beyond its onset and offset."""

FACE_FPS = 1.5
"""Pictures of one face that are closer in time hardly differ."""


Windows = dict[Split, list[ClipWindows]]


def trains_encoders(preset: Preset) -> bool:
    """Whether the preset's encoders learn here, rather than come frozen."""
    return preset.vision.steps > 0 or preset.audio.steps > 0


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """Which encoders a model gets.

    Attributes:
        vision: CLIP weights instead of the preset's, see ``clip_files.find_clip``; frozen, unless the preset
            makes a part of them learn. Empty for those of the preset.
        audio: The same for sound: a Hugging Face id or a folder.
        pretrained: Load weights at all.
        offline: Don't touch the network.
    """

    vision: str = ""
    audio: str = ""
    pretrained: bool = True
    offline: bool = False


def choose_encoders(preset: Preset, choice: EncoderChoice) -> Preset:
    """The preset with the encoders that were chosen, their architecture and their preprocessing.

    Raises:
        UsageError: Weights are named and not to be loaded, or have a name of no known form; or a part of an
            encoder is to learn in no steps.
        WeightsError: Weights can't be had.
    """
    if (choice.vision or choice.audio) and not choice.pretrained:
        raise UsageError("--vision and --audio name weights, and --random-encoders loads none")
    _require_steps("vision", preset.vision)
    _require_steps("audio", preset.audio)
    replace, model = msgspec.structs.replace, preset.model
    if choice.vision:
        model = replace(model, vision=replace(model.vision, pretrained=choice.vision, revision=""))
        preset = replace(preset, vision=_frozen_but_for_parts("vision", preset.vision))
    if choice.audio:
        model = replace(model, audio=replace(model.audio, pretrained=choice.audio, revision=""))
        preset = replace(preset, audio=_frozen_but_for_parts("audio", preset.audio))
    if choice.pretrained:
        model = adopt_pretrained(model, offline=choice.offline)
    return replace(preset, model=model)


def _require_steps(name: str, settings: EncoderSettings) -> None:
    if settings.partial and not settings.steps:
        raise UsageError(
            f"{name}.last_blocks and {name}.lora_rank say what learns, and {name}.steps is 0: nothing would;"
            f" give --set {name}.steps=500, or neither of them"
        )


def _frozen_but_for_parts(name: str, settings: EncoderSettings) -> EncoderSettings:
    """No steps under named weights, which are not to be unlearnt, unless only a part of them learns."""
    if settings.partial or not settings.steps:
        return settings
    say(
        f"note: weights of --{name} stay as they are: {name}.steps={settings.steps} is left out;"
        f" {name}.last_blocks or {name}.lora_rank makes a part of them learn"
    )
    return msgspec.structs.replace(settings, steps=0)


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
    clips = open_clips(data, workers=workers, memo=cache / MEDIA_FILE if cache else None)
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


@dataclass(frozen=True, slots=True)
class CacheRun:
    """What to make features of, and where to put them.

    Attributes:
        preset: Model; its encoders are frozen.
        data: Data sets.
        out: Folder of the cache.
        seed: Of weights, where they are random.
        workers: Processes that decode and crop.
        encoders: Which encoders.
        storage: Type on disk.
        remake: Throw away a cache of other settings.
    """

    preset: Preset
    data: DataRequest
    out: Path
    seed: int
    workers: int
    encoders: EncoderChoice
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
    spec = preset.model.preprocessing
    with open_cache(run.out, spec, models, storage=run.storage, remake=run.remake) as cache:
        clip_ids = _every_clip(source)
        added = fill_cache(cache, source, clip_ids, spec, models, workers=run.workers)
        held = sum(source.fingerprint(clip_id) in cache for clip_id in clip_ids)
    say(f"{run.out}: {held} of {len(clip_ids)} clips, {added} of them new")


def freeze_encoders(models: Models) -> None:
    """No encoder learns any more."""
    for module in _encoders(models).values():
        freeze(module)


def _encoders(models: Models) -> dict[str, nn.Module]:
    modules = {"vision": models.vision, "audio": models.audio, "text": models.text}
    return {name: module for name, module in modules.items() if module is not None}


def _fingerprint(source: ClipSource, clips: Sequence[CroppedClip], preset: Preset, seed: int) -> str:
    """Of all that decides what the encoders learn."""
    digest = hashlib.sha256(msgspec.json.encode((preset, seed)))
    for clip in clips:
        digest.update(source.fingerprint(clip.clip_id).encode() + clip.truth.labels.tobytes())
    return digest.hexdigest()


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
            every = _every_clip(source)
            records = {
                clip.clip_id: clip
                for clip in crop_clips(source, every, spec.vision, Path(scratch), workers=workers)
            }
            by_split = {
                split: [records[clip_id] for clip_id in source.clip_ids(split) if clip_id in records]
                for split in SPLITS
            }
        fingerprint = _fingerprint(source, by_split["train"], preset, seed)
        if kept is not None and read_modules(kept, fingerprint, _encoders(models)):
            say("encoders: as the stopped run has trained them")
            freeze_encoders(models)
        else:
            with watch.stage("faces"):
                faces = _faces(source, preset, Path(scratch), workers)
            with watch.stage("encoders"):
                _train_encoders(models, faces or by_split["train"], by_split["train"], preset, seed)
            if kept is not None:
                write_modules(kept, fingerprint, _encoders(models))
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


def _with_frozen_encoders(
    source: ClipSource, preset: Preset, models: Models, workers: int, cache: Path | None
) -> Windows:
    spec = preset.model.preprocessing
    if cache is None:
        clips = extract(source, _every_clip(source), spec, models, workers=workers)
        by_id = {clip.clip_id: clip for clip in clips}
        return {
            split: [by_id[clip_id] for clip_id in source.clip_ids(split) if clip_id in by_id]
            for split in SPLITS
        }
    with open_cache(cache, spec, models) as features:
        fill_cache(features, source, _every_clip(source), spec, models, workers=workers)
        return {split: cached_windows(features, source, source.clip_ids(split)) for split in SPLITS}


def _train_encoders(
    models: Models, faces: list[CroppedClip], clips: list[CroppedClip], preset: Preset, seed: int
) -> None:
    if preset.vision.steps:
        train_vision(models.vision, models.text, preset.model.labels, faces, preset.vision, seed)
    if preset.audio.steps:
        spec, classes = preset.model.preprocessing.audio, len(preset.model.labels)
        train_audio(models.audio, spec, classes, clips, preset.audio, seed)
    freeze_encoders(models)


def _every_clip(source: ClipSource) -> list[str]:
    return [clip_id for split in SPLITS for clip_id in source.clip_ids(split)]


def _check(source: ClipSource, windows: Windows) -> None:
    """What couldn't be read may have been all of a split, or of a class."""
    for split in ("train", "validation"):
        if not windows[split]:
            raise DatasetError(
                "training data", f"no clip of the {split} split could be read; see the lines above"
            )
    if isinstance(source, DatasetClips):
        source.require_classes([clip.clip_id for clip in windows["train"]])
