"""The whole training run: clips, encoders, features, fusion, scores, checkpoint."""

from __future__ import annotations

import csv
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from emorec_train.clips import Split
from emorec_train.dataset_clips import DATA_KEY, DataRequest
from emorec_train.evaluate import LABEL_STEPS_KEY, evaluate, label_steps
from emorec_train.features import ClipWindows
from emorec_train.fit import Epoch, Fitted, fit_fusion, with_mode
from emorec_train.metrics import Scores, table
from emorec_train.model.build import Models, build_models
from emorec_train.model.checkpoint import TrainingRecord, save_checkpoint
from emorec_train.model.config import Mode
from emorec_train.model.text import frozen_prototypes
from emorec_train.presets import Preset
from emorec_train.progress import Stopwatch, say
from emorec_train.stages import SPLITS, EncoderChoice, choose_encoders, make_windows, open_source

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
        encoders: Which encoders, and whether their weights are loaded.
        data: Data sets to train on; ``None`` takes generated clips.
        cache: Folder for the features of frozen encoders; ``None`` makes them anew.
    """

    preset: Preset
    seed: int
    out: Path
    workers: int
    command: str
    encoders: EncoderChoice
    data: DataRequest | None = None
    cache: Path | None = None


def train(run: Run) -> dict[Mode, Scores]:
    """Train, score on held-out clips, and write the checkpoint, ``metrics.json`` and ``log.csv``.

    Returns:
        Test scores of the full model and of each single stream; data without a test split has those of its
        validation split instead.

    Raises:
        EmorecError: Something is wrong with the settings, the weights or the output folder.
    """
    torch.manual_seed(run.seed)
    watch = Stopwatch()
    preset = choose_encoders(run.preset, run.encoders)
    source, preset = open_source(preset, run.data, workers=run.workers, cache=run.cache)
    run = replace(run, preset=preset)
    models = build_models(preset.model, pretrained=run.encoders.pretrained, offline=run.encoders.offline)
    windows = make_windows(source, preset, models, watch, seed=run.seed, workers=run.workers, cache=run.cache)
    prototypes = None
    if models.text is not None:
        prototypes = frozen_prototypes(models.text, preset.model.labels)
    with watch.stage("fusion"):
        fitted = _fit_modes(run, windows, prototypes)
    scored: Split = "test" if windows["test"] else "validation"
    scores = {
        mode: evaluate(fit.fusion, windows[scored], preset.model.labels) for mode, fit in fitted.items()
    }
    clips = {str(split): [clip.clip_id for clip in windows[split]] for split in SPLITS}
    metrics = _metrics(fitted, scores, watch)
    settings = {LABEL_STEPS_KEY: label_steps(windows["train"], preset.model.labels)}
    _save(run, models, fitted[preset.model.fusion.mode], prototypes, clips, metrics, settings)
    _write_log(run.out / "log.csv", fitted)
    say(table({f"{mode} ({scored})": value for mode, value in scores.items()}))
    say(f"seconds: {watch.seconds}")
    return scores


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


def _write_log(path: Path, fitted: dict[Mode, Fitted]) -> None:
    """One line for each epoch of each mode."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["mode", *Epoch.__struct_fields__])
        writer.writerows(
            [mode, *msgspec.structs.astuple(epoch)] for mode, fit in fitted.items() for epoch in fit.log
        )


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
    found: dict[str, Any],
) -> None:
    settings = {key: value for key, value in msgspec.to_builtins(run.preset).items() if key != "model"}
    training = TrainingRecord(
        command=run.command,
        seed=run.seed,
        clips=clips,
        metrics=metrics,
        settings={**settings, **found, **({DATA_KEY: run.data.recorded()} if run.data else {})},
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
