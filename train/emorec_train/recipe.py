"""The whole training run: clips, encoders, features, fusion, scores, checkpoint."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from emorec_train.clips import ClipSpec, Split
from emorec_train.data import ClipSource, GeneratedClips
from emorec_train.evaluate import evaluate
from emorec_train.features import ClipWindows, clip_windows
from emorec_train.fit import Fitted, fit_fusion, with_mode
from emorec_train.metrics import Scores, table
from emorec_train.model.build import Models, build_models, freeze
from emorec_train.model.checkpoint import TrainingRecord, save_checkpoint
from emorec_train.model.config import Mode
from emorec_train.model.text import frozen_prototypes
from emorec_train.presets import Preset
from emorec_train.pretrain import train_audio, train_vision
from emorec_train.progress import say
from emorec_train.records import ClipRecord, record_clips

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
ABLATIONS: tuple[Mode, ...] = ("visual", "audio")
_LIBRARIES = ("torch", "open_clip_torch", "transformers", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class Run:
    """What to train and where to put it.

    Attributes:
        preset: Model and settings.
        seed: Of everything random but the clips.
        out: Folder of the checkpoint.
        workers: Processes that draw and crop clips.
        command: The command line, for the record.
        pretrained: Whether encoders start from the weights that the preset names.
    """

    preset: Preset
    seed: int
    out: Path
    workers: int
    command: str
    pretrained: bool = True


class Stopwatch:
    """Seconds that each stage took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a block."""
        start = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - start, 1)


def train(run: Run) -> dict[Mode, Scores]:
    """Train, score on held-out clips, and write the checkpoint and ``metrics.json``.

    Returns:
        Test scores of the full model and of each single stream.

    Raises:
        EmorecError: Something is wrong with the settings, the weights or the output folder.
    """
    torch.manual_seed(run.seed)
    preset, watch = run.preset, Stopwatch()
    models = build_models(preset.model, pretrained=run.pretrained)
    source = generated_clips(preset)
    with tempfile.TemporaryDirectory(prefix="emorec-train-") as scratch:
        with watch.stage("clips"):
            records = _records(source, run, Path(scratch))
        with watch.stage("encoders"):
            _train_encoders(models, records["train"], run)
        with watch.stage("features"):
            windows = {split: _windows(models, records[split], run, split) for split in SPLITS}
    prototypes = None
    if models.text is not None:
        prototypes = frozen_prototypes(models.text, preset.model.labels)
    with watch.stage("fusion"):
        fitted = _fit_modes(run, windows, prototypes)
    scores = {
        mode: evaluate(fit.fusion, windows["test"], preset.model.labels) for mode, fit in fitted.items()
    }
    clips = {str(split): [record.clip_id for record in records[split]] for split in SPLITS}
    metrics = _metrics(fitted, scores, watch)
    _save(run, models, fitted[preset.model.fusion.mode], prototypes, clips, metrics)
    say(table({f"{mode} (test)": value for mode, value in scores.items()}))
    say(f"seconds: {watch.seconds}")
    return scores


def generated_clips(preset: Preset) -> GeneratedClips:
    """The preset's clips: validation and test have a fifth of the training clips each."""
    held_out = max(2, preset.clips // 5)
    counts: dict[Split, int] = {"train": preset.clips, "validation": held_out, "test": held_out}
    return GeneratedClips(preset.model.labels, counts, ClipSpec(seconds=preset.clip_seconds))


def _records(source: ClipSource, run: Run, scratch: Path) -> dict[Split, list[ClipRecord]]:
    clip_ids = {split: source.clip_ids(split) for split in SPLITS}
    every = [clip_id for ids in clip_ids.values() for clip_id in ids]
    spec = run.preset.model.preprocessing.vision
    records = iter(record_clips(source, every, spec, scratch, workers=run.workers))
    return {split: [next(records) for _ in ids] for split, ids in clip_ids.items()}


def _train_encoders(models: Models, records: list[ClipRecord], run: Run) -> None:
    preset = run.preset
    if preset.vision.steps:
        train_vision(models.vision, models.text, preset.model.labels, records, preset.vision, run.seed)
    if preset.audio.steps:
        spec, classes = preset.model.preprocessing.audio, len(preset.model.labels)
        train_audio(models.audio, spec, classes, records, preset.audio, run.seed)
    for module in (models.vision, models.audio, models.text):
        if module is not None:
            freeze(module)


def _windows(models: Models, records: list[ClipRecord], run: Run, split: Split) -> list[ClipWindows]:
    spec = run.preset.model.preprocessing
    return clip_windows(records, spec, models.vision, models.audio, f"{split} features")


def _fit_modes(
    run: Run, windows: dict[Split, list[ClipWindows]], prototypes: Tensor | None
) -> dict[Mode, Fitted]:
    preset = run.preset
    modes = dict.fromkeys((*ABLATIONS, preset.model.fusion.mode))
    return {
        mode: fit_fusion(
            with_mode(preset.model, mode),
            preset.fusion,
            windows["train"],
            windows["validation"],
            prototypes,
            run.seed,
        )
        for mode in modes
    }


def _metrics(fitted: dict[Mode, Fitted], scores: dict[Mode, Scores], watch: Stopwatch) -> dict[str, Any]:
    return {
        "validation": {mode: msgspec.to_builtins(fit.validation) for mode, fit in fitted.items()},
        "test": msgspec.to_builtins(scores),
        "seconds": dict(watch.seconds),
    }


def _versions() -> dict[str, str]:
    """Versions of the libraries that are installed under their usual names."""
    found = {}
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def _save(
    run: Run,
    models: Models,
    fitted: Fitted,
    prototypes: Tensor | None,
    clips: dict[str, list[str]],
    metrics: dict[str, Any],
) -> None:
    training = TrainingRecord(
        command=run.command,
        seed=run.seed,
        clips=clips,
        metrics=metrics,
        settings={key: value for key, value in msgspec.to_builtins(run.preset).items() if key != "model"},
        versions=_versions(),
    )
    save_checkpoint(
        run.out,
        run.preset.model,
        training,
        vision=models.vision,
        audio=models.audio,
        fusion=fitted.fusion,
        text_prototypes=prototypes,
    )
    encoded = msgspec.json.format(msgspec.json.encode(metrics), indent=2)
    (run.out / "metrics.json").write_bytes(encoded + b"\n")
