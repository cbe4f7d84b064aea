"""The whole training run: clips, encoders, features, fusion, scores, checkpoint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import torch
from torch import Tensor

from emorec_rt.errors import UsageError
from emorec_rt.files import write_whole
from emorec_train.console import Stopwatch, log, say
from emorec_train.data.dataset_clips import DATA_KEY, DataRequest
from emorec_train.data.synthetic import SPLITS, Split
from emorec_train.evaluation.measures import MeasureScores, measure_lines, score_measures
from emorec_train.evaluation.metrics import Scores, table
from emorec_train.evaluation.stitched import LABEL_STEPS_KEY, evaluate, label_steps, stitch_clips
from emorec_train.features.windows import ClipWindows, stack_windows
from emorec_train.model.build import Models, build_models, find_device, place_encoders
from emorec_train.model.checkpoint import FILE_NAME, save_checkpoint
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.config import Mode, ModelConfig
from emorec_train.model.fusion import FusionModel
from emorec_train.model.text import frozen_prototypes
from emorec_train.settings.fields import Preset
from emorec_train.training.board import open_board
from emorec_train.training.clips import open_source
from emorec_train.training.encoders import EncoderChoice, choose_encoders, trains_encoders
from emorec_train.training.features import Windows, make_windows
from emorec_train.training.fit import FitContext, FitResult, fit_fusion, with_mode
from emorec_train.training.objective import flat_weights_note
from emorec_train.training.processes import Processes, join_processes
from emorec_train.training.state import Epoch, log_csv, remove_state, state_folder

ABLATIONS: tuple[Mode, ...] = ("visual", "audio")
LOG_FILE = "log.csv"
"""Every epoch's loss, learning rate and validation score, in the checkpoint's folder."""

_LIBRARIES = ("torch", "open_clip_torch", "transformers", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class Run:
    """Options of a training run.

    Attributes:
        preset: Model and settings.
        seed: Seed of all that is random but the clips.
        out: Folder of the checkpoint.
        workers: Processes that draw and crop clips.
        command: The command line, for the record.
        encoders: Which encoders, and whether their weights are loaded.
        data: Data sets to train on; ``None`` takes generated clips.
        cache: Folder for the features of frozen encoders; ``None`` makes them anew.
        resume: Continue a stopped run, see ``state_folder``.
        device: Device of frozen encoders and of the fusion's training, ``cpu`` or ``cuda``.
        tensorboard: Folder for TensorBoard; ``None`` writes none.
    """

    preset: Preset
    seed: int
    out: Path
    workers: int
    command: str
    encoders: EncoderChoice
    data: DataRequest | None = None
    cache: Path | None = None
    resume: bool = False
    device: str = "cpu"
    tensorboard: Path | None = None


def train(run: Run) -> dict[Mode, Scores]:
    """Train, score on held-out clips, and write the checkpoint, ``metrics.json`` and ``log.csv``.

    Returns:
        Test scores of the full model and of each single stream; data without a test split has those of its
        validation split instead. Nothing from a run that is complete already, and from processes that don't
        lead.

    Raises:
        EmorecError: Something is wrong with the settings, the weights or the output folder.
    """
    if run.resume and not state_folder(run.out).exists() and (run.out / FILE_NAME).is_file():
        say(f"{run.out} is complete: there is nothing to resume")
        return {}
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and run.cache is None:
        raise UsageError("several processes train from a cache: give --cache, with frozen encoders")
    watch = Stopwatch()
    with join_processes(run.device) as processes:
        if processes.leads and not run.resume:
            remove_state(state_folder(run.out))
        with processes.in_turn():
            run, models, windows, prototypes = prepare(run, watch)
        with watch.stage("fusion"):
            fitted = _fit_modes(run, windows, prototypes, processes)
        if not processes.leads:
            return {}
    return _finish(run, models, windows, prototypes, fitted, watch)


def prepare(run: Run, watch: Stopwatch) -> tuple[Run, Models, Windows, Tensor | None]:
    """Everything up to the fusion: clips, encoders, features, class texts.

    Returns:
        The run with the labels and preprocessing that were found, its modules, the windows of each split, and
        the class texts ``[C, E]`` where there is text guidance.

    Raises:
        EmorecError: Something is wrong with the settings, the weights or the data.
    """
    torch.manual_seed(run.seed)
    preset = choose_encoders(run.preset, run.encoders)
    source, preset = open_source(preset, run.data, workers=run.workers, cache=run.cache)
    models = build_models(preset.model, pretrained=run.encoders.pretrained, offline=run.encoders.offline)
    if not trains_encoders(preset):
        place_encoders(models, find_device(run.device))
    windows = make_windows(
        source,
        preset,
        models,
        watch,
        seed=run.seed,
        workers=run.workers,
        cache=run.cache,
        kept=state_folder(run.out) / "encoders.safetensors",
    )
    if note := flat_weights_note(preset.fusion, stack_windows(windows["train"]), preset.model.labels):
        say(note)
    prototypes = None
    if models.text is not None:
        prototypes = frozen_prototypes(models.text, preset.model.labels)
    return replace(run, preset=preset), models, windows, prototypes


def scored_split(windows: Windows) -> Split:
    """Test, or validation where the data has no test split."""
    return "test" if windows["test"] else "validation"


def _fit_modes(
    run: Run, windows: Windows, prototypes: Tensor | None, processes: Processes
) -> dict[Mode, FitResult]:
    preset, folder = run.preset, state_folder(run.out)
    fitted: dict[Mode, FitResult] = {}

    def on_epoch(epoch: Epoch) -> None:
        board(epoch)
        log(f"  epoch {epoch.epoch}: loss {epoch.loss:.3f}, validation macro F1 {epoch.macro_f1:.3f}")

    with open_board(run.tensorboard if processes.leads else None) as board:
        for mode in dict.fromkeys((*ABLATIONS, preset.model.fusion.mode)):
            fitted[mode] = fit_fusion(
                with_mode(preset.model, mode),
                preset.fusion,
                windows["train"],
                windows["validation"],
                prototypes,
                run.seed,
                FitContext(processes, folder / f"{mode}.safetensors", run.resume, on_epoch),
            )
    return fitted


def _finish(
    run: Run,
    models: Models,
    windows: Windows,
    prototypes: Tensor | None,
    fitted: dict[Mode, FitResult],
    watch: Stopwatch,
) -> dict[Mode, Scores]:
    """Score, and write the checkpoint."""
    preset, scored = run.preset, scored_split(windows)
    scores = {
        mode: evaluate(fit.fusion, windows[scored], preset.model.labels) for mode, fit in fitted.items()
    }
    clips = {str(split): [clip.clip_id for clip in windows[split]] for split in SPLITS}
    metrics = _metrics(fitted, {scored: scores}, watch)
    measured = measure(preset.model, fitted[preset.model.fusion.mode].fusion, windows[scored])
    if measured is not None:
        metrics["measures"] = {scored: msgspec.to_builtins(measured)}
    settings = {LABEL_STEPS_KEY: label_steps(windows["train"], preset.model.labels)}
    _save(run, models, fitted[preset.model.fusion.mode], prototypes, clips, metrics, settings)
    write_whole(run.out / LOG_FILE, log_csv(epoch for fit in fitted.values() for epoch in fit.log))
    remove_state(state_folder(run.out))
    say(table({f"{mode} ({scored})": value for mode, value in scores.items()}))
    if measured is not None:
        say(measure_lines(measured))
    say(f"seconds: {watch.seconds}")
    return scores


def measure(model: ModelConfig, fusion: FusionModel, clips: Sequence[ClipWindows]) -> MeasureScores | None:
    """Score what a model gives beside the classes; ``None`` where that is nothing, or the clips don't say."""
    return score_measures(stitch_clips(fusion, clips), model.tasks) if model.tasks else None


def _metrics(
    fitted: dict[Mode, FitResult], scores: dict[Split, dict[Mode, Scores]], watch: Stopwatch
) -> dict[str, Any]:
    """Scores by split; data without a test split has those of validation alone."""
    return {
        "validation": {mode: msgspec.to_builtins(fit.validation) for mode, fit in fitted.items()},
        **msgspec.to_builtins(scores),
        "seconds": dict(watch.seconds),
    }


def library_versions() -> dict[str, str]:
    """Versions of the libraries that are installed under their usual names."""
    found = {}
    for library in _LIBRARIES:
        with suppress(PackageNotFoundError):
            found[library] = version(library)
    return found


def _save(
    run: Run,
    models: Models,
    fitted: FitResult,
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
        versions=library_versions(),
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
    write_whole(run.out / "metrics.json", msgspec.json.format(msgspec.json.encode(metrics), indent=2) + b"\n")
