"""The stage for still pictures from the call to the folder that it leaves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import torch

from emorec_rt.errors import UsageError
from emorec_rt.files import WholeFile
from emorec_train.console import Stopwatch, log, say, tracked
from emorec_train.data.datasets.record import DatasetError
from emorec_train.data.pictures.opening import PictureRequest, open_pictures
from emorec_train.data.pictures.types import PictureSet
from emorec_train.evaluation.metrics import Scores, table
from emorec_train.evaluation.stills import score_stills
from emorec_train.model.build import freeze
from emorec_train.model.checkpoint_parts import CheckpointError, TrainingRecord
from emorec_train.model.config import ModelConfig
from emorec_train.model.stills import StillModel
from emorec_train.model.stills_files import FILE_NAME, StillsFile, load_stills, save_stills
from emorec_train.model.text import TextEncoder
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.fields import EncoderSettings, Preset
from emorec_train.training.partial import learning
from emorec_train.training.run import LOG_FILE, library_versions
from emorec_train.training.state import log_csv, read_state, remove_state, state_folder, write_state
from emorec_train.training.stills.fit import FittedStills, StillFit
from emorec_train.training.stills.grey import fold_grey, require_grey

_STATE_FILE = "stills.safetensors"


@dataclass(frozen=True, slots=True)
class StillsRun:
    """Data of a training, and the folder of its result.

    Attributes:
        preset: Model and settings; of the model, the visual and the text tower.
        data: Data sets; an epoch has as many pictures as the first one.
        out: Folder of the result.
        seed: Of everything random.
        device: ``cpu`` or ``cuda``.
        resume: Go on with a run that was stopped.
        command: The command line, for the record.
        pretrained: Start from the weights that the preset names, if any.
        offline: Take those from this machine.
        start: Folder of an earlier run whose weights it begins with, in the place of published ones.
    """

    preset: Preset
    data: tuple[PictureRequest, ...]
    out: Path
    seed: int = 0
    device: str = "cpu"
    resume: bool = False
    command: str = ""
    pretrained: bool = True
    offline: bool = False
    start: Path | None = None


def train_stills(run: StillsRun) -> dict[str, Scores]:
    """Train a visual encoder on labelled pictures, score it, and write it to ``run.out``.

    Returns:
        Scores on each set's validation pictures, in colour as they are, by the set's name. Nothing from a run
        that is complete already.

    Raises:
        EmorecError: Something is wrong with the settings, the data, the weights or the output folder.
    """
    if run.resume and not state_folder(run.out).exists() and (run.out / FILE_NAME).is_file():
        say(f"{run.out} is complete: there is nothing to go on with")
        return {}
    if not run.resume:
        remove_state(state_folder(run.out))
    watch = Stopwatch()
    with watch.stage("pictures"):
        sets = _open(run)
    torch.manual_seed(run.seed)
    model = build_still_model(run)
    with watch.stage("training"):
        fitted = _fit(run, model, sets)
    scores = _scores(run, fitted, sets)
    _write(run, fitted, sets, scores, watch)
    say(table(scores))
    return scores


def build_still_model(run: StillsRun) -> StillModel:
    """A new model of the preset's towers: with an earlier run's weights, published ones, or random ones.

    Raises:
        UsageError: Grey can't be folded into this tower.
        CheckpointError: The earlier run can't be read, or is of another tower.
        WeightsError: Published weights can't be had or don't fit.
    """
    config = run.preset.model
    vision = VisionEncoder(config.vision, config.preprocessing.vision)
    text = _text_tower(run.preset)
    if run.preset.stills.grey:
        require_grey(vision)
    if run.start is None and run.pretrained and config.vision.pretrained:
        from emorec_train.model.pretrained import load_vision

        own_text = config.text is not None and bool(config.text.pretrained)
        load_vision(config.vision, vision, None if own_text else text, offline=run.offline)
    if text is not None and run.preset.stills.partial:
        freeze(text)  # the class texts stay where the pretrained tower has them
    model = StillModel(vision, text, config.labels)
    if run.start is not None:
        _begin_with(run.start, model, config)
    return model


def _begin_with(folder: Path, model: StillModel, config: ModelConfig) -> None:
    """Fill a model with an earlier run's weights."""
    earlier = load_stills(folder)
    file, same = earlier.file, config.preprocessing.vision
    if (file.labels, file.preprocessing, file.vision) != (config.labels, same, config.vision):
        raise CheckpointError(folder, "has another tower, other crops or other labels than the preset")
    model.vision.load_state_dict(earlier.model.vision.state_dict())
    model.head.load_state_dict(earlier.model.head.state_dict())
    if model.text_head is not None and earlier.model.text_head is not None:
        model.text_head.text.load_state_dict(earlier.model.text_head.text.state_dict())


def _text_tower(preset: Preset) -> TextEncoder | None:
    """The text tower that shares the visual tower's embedding, if there is one."""
    config = preset.model
    if config.text is None or not preset.stills.text_weight:
        return None
    if config.text.embed_dim not in (None, config.vision.embed_dim):
        say("note: the class texts have an embedding of their own, so pictures are learnt without them")
        return None
    return TextEncoder(config.text, config.vision)


def _open(run: StillsRun) -> list[PictureSet]:
    if not run.data:
        raise UsageError("no pictures to learn from: give --data NAME:PATH, see --help")
    config = run.preset.model
    sets = [open_pictures(request, config.preprocessing.vision, config.labels) for request in run.data]
    if not any(len(one.validation) for one in sets):
        raise DatasetError(run.data[0].path, "has no validation pictures to choose the epoch by")
    return sets


def _fit(run: StillsRun, model: StillModel, sets: Sequence[PictureSet]) -> FittedStills:
    """Train, keeping a state after each epoch."""
    settings, labels = run.preset.stills, run.preset.model.labels
    state_file = state_folder(run.out) / _STATE_FILE
    with learning(model.vision, _part(run.preset)):
        fit = StillFit(model, labels, sets, settings, run.seed, torch.device(run.device))
        state = read_state(state_file, fit.fingerprint) if run.resume else None
        if state is not None:
            fit.restore(state)
        for _ in tracked(range(len(fit.log), settings.epochs), "stills", settings.epochs - len(fit.log)):
            if fit.finished:
                break
            epoch = fit.epoch()
            write_state(state_file, fit.state())
            log(f"  epoch {epoch.epoch}: loss {epoch.loss:.3f}, validation macro F1 {epoch.macro_f1:.3f}")
        return fit.fitted()


def _part(preset: Preset) -> EncoderSettings:
    """Part of the tower that learns, in the words of ``partial.learning``."""
    stills = preset.stills
    return EncoderSettings(
        steps=1,
        batch=stills.batch,
        learning_rate=stills.learning_rate,
        last_blocks=stills.last_blocks,
        lora_rank=stills.lora_rank,
    )


def _scores(run: StillsRun, fitted: FittedStills, sets: Sequence[PictureSet]) -> dict[str, Scores]:
    """Scores of what is written: with colour folded in, on pictures as they are."""
    if run.preset.stills.grey:
        fold_grey(fitted.model.vision)
    labels = run.preset.model.labels
    return {
        one.name: score_stills(fitted.model, one.validation, labels, grey=False)
        for one in sets
        if len(one.validation)
    }


def _write(
    run: StillsRun,
    fitted: FittedStills,
    sets: Sequence[PictureSet],
    scores: dict[str, Scores],
    watch: Stopwatch,
) -> None:
    config = run.preset.model
    metrics: dict[str, Any] = {"validation": msgspec.to_builtins(scores), "seconds": dict(watch.seconds)}
    pictures = {one.name: {"train": len(one.train), "validation": len(one.validation)} for one in sets}
    training = TrainingRecord(
        command=run.command,
        seed=run.seed,
        metrics=metrics,
        settings={"stills": msgspec.to_builtins(run.preset.stills), "pictures": pictures},
        versions=library_versions(),
    )
    file = StillsFile(
        labels=config.labels,
        preprocessing=config.preprocessing.vision,
        vision=config.vision,
        text=None if fitted.model.text_head is None else config.text,
        training=training,
    )
    save_stills(run.out, file, fitted.model)
    with WholeFile(run.out / LOG_FILE) as out:
        out.write(log_csv(fitted.log))
    remove_state(state_folder(run.out))
