"""The fusion of people: frozen encoders of faces and voices under clips that pair them by label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from emorec_rt.bundle.manifest import Normalization, Statistics
from emorec_rt.errors import UsageError
from emorec_rt.files import write_whole
from emorec_rt.machine.cores import usable_cores
from emorec_train.console import Stopwatch, log, say
from emorec_train.data.labels import IGNORED
from emorec_train.data.synthetic import SPLITS, Split
from emorec_train.evaluation.metrics import Scores, table
from emorec_train.evaluation.stitched import evaluate, stitch_clips
from emorec_train.features.extract import cached_windows, fill_cache, open_cache
from emorec_train.features.windows import ClipWindows
from emorec_train.model.build import Models, freeze
from emorec_train.model.checkpoint import Checkpoint, save_checkpoint
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.config import Mode, ModelConfig
from emorec_train.model.fusion import FusionModel, new_fusion
from emorec_train.model.sound_folder import SoundEncoderFile, read_sound_encoder
from emorec_train.model.stills_files import Stills, load_stills
from emorec_train.settings.fields import Preset
from emorec_train.training.fit import FitContext, FitResult, fit_fusion, with_mode
from emorec_train.training.people.calibration import best_temperature, soften
from emorec_train.training.people.source import PeopleClips
from emorec_train.training.run import LOG_FILE, library_versions
from emorec_train.training.state import Epoch, log_csv, remove_state, state_folder

PEOPLE_KEY: Final = "people"
"""Key of a checkpoint's settings with the material that its clips are put together from."""

SINGLE: Final[tuple[Mode, ...]] = ("visual", "audio")
FACE_PRIOR_COUNT: Final = 1500.0
FACE_MEMORY_COUNT: Final = 750.0
"""30 s of one face weigh at most half as much as the training's statistics do: a face that looks sad at rest
is read better for it, and one that smiles for long isn't taken for neutral."""

STATISTICS_PICTURES: Final = 8000


@dataclass(frozen=True, slots=True)
class PeopleRun:
    """Data of a training, and the folder of its result.

    Attributes:
        preset: Settings; encoders and their preprocessing are those of the stages before.
        data: Folder with ``faces``, ``voices`` and ``speech``.
        pictures: Folder of the visual encoder, from ``train/pictures.py``.
        voices: Folder of the sound encoder, from ``train/voices.py``.
        out: Folder of the checkpoint.
        cache: Folder of the features.
        seed: Of everything random but the clips.
        fold: Of the acted voices, the speakers that are only scored.
        modes: Single streams that get a model of their own beside.
        resume: Go on with a run that was stopped.
        command: The command line, for the record.
    """

    preset: Preset
    data: Path
    pictures: Path
    voices: Path
    out: Path
    cache: Path
    seed: int = 0
    fold: int = 2
    modes: tuple[Mode, ...] = SINGLE
    resume: bool = True
    command: str = ""


def train_people(run: PeopleRun) -> dict[Mode, Scores]:
    """Train the fusion on pairs, calibrate it, and write the checkpoint.

    Models of single streams are written beside it, into folders named after their mode.

    Returns:
        Validation scores by mode.

    Raises:
        EmorecError: Something is wrong with the encoders, the data or the output folder.
    """
    watch = Stopwatch()
    with watch.stage("features"):
        ready = prepare_people(run)
    fitted: dict[Mode, FitResult] = {}
    with watch.stage("fusion"):
        for mode in dict.fromkeys((*run.modes, ready.config.fusion.mode)):
            fitted[mode] = _fit(run, with_mode(ready.config, mode), ready)
    return _finish(run, ready, fitted, watch)


@dataclass(frozen=True)
class PreparedPeople:
    """All that a fusion of people learns from.

    Attributes:
        config: The preset's model on these encoders.
        models: Frozen encoders, and a fusion that hasn't learnt.
        source: The clips.
        windows: Their features by split.
        prototypes: The class texts, where the preset has text guidance.
    """

    config: ModelConfig
    models: Models
    source: PeopleClips
    windows: dict[Split, list[ClipWindows]]
    prototypes: Tensor | None


def prepare_people(run: PeopleRun) -> PreparedPeople:
    """Read encoders and material, and make the features that ``run.cache`` lacks.

    Raises:
        EmorecError: Something is wrong with the encoders or the data.
    """
    torch.manual_seed(run.seed)
    stills = load_stills(run.pictures)
    audio, sound = read_sound_encoder(run.voices)
    source = _source(run, stills)
    config = _config(run, stills, sound, source)
    models = Models(stills.model.vision, audio, new_fusion(config))
    for module in (models.vision, models.audio):
        freeze(module)
    # Windows that overlap would show the same steps twice.
    window = config.preprocessing.window
    apart = msgspec.structs.replace(
        config.preprocessing, window=msgspec.structs.replace(window, stride=window.steps)
    )
    with open_cache(run.cache, apart, models, remake=True) as cache:
        every = [clip_id for split in SPLITS for clip_id in source.clip_ids(split)]
        fill_cache(cache, source, every, apart, models, workers=usable_cores())
        windows = {split: cached_windows(cache, source, source.clip_ids(split)) for split in SPLITS}
    return PreparedPeople(config, models, source, windows, _prototypes(run, stills))


def _source(run: PeopleRun, stills: Stills) -> PeopleClips:
    counts: dict[Split, int] = {"train": run.preset.clips, "validation": max(2, run.preset.clips // 5)}
    return PeopleClips(run.data, stills.file.labels, stills.file.preprocessing, counts, run.fold)


def recorded_people(checkpoint: Checkpoint) -> PeopleClips:
    """The clips that a checkpoint of ``train_people`` was trained on, put together again.

    Raises:
        UsageError: Its material is gone.
    """
    people = checkpoint.training.settings[PEOPLE_KEY]
    data, counts = Path(people["data"]), {split: len(checkpoint.training.clips[split]) for split in SPLITS}
    if not data.is_dir():
        raise UsageError(f"{checkpoint.folder}: its clips are put together from {data}, which is gone")
    config = checkpoint.config
    return PeopleClips(data, config.labels, config.preprocessing.vision, counts, int(people["fold"]))


def _config(run: PeopleRun, stills: Stills, sound: SoundEncoderFile, source: PeopleClips) -> ModelConfig:
    """The preset's model on these encoders."""
    replace, model = msgspec.structs.replace, run.preset.model
    preprocessing = replace(
        model.preprocessing,
        vision=stills.file.preprocessing,
        audio=sound.preprocessing,
        normalization=Normalization(
            audio=sound.statistics, vision=_face_statistics(stills, source, run.seed)
        ),
    )
    return replace(
        model,
        labels=stills.file.labels,
        vision=stills.file.vision,
        text=None,
        audio=sound.audio,
        preprocessing=preprocessing,
    )


@torch.inference_mode()
def _face_statistics(stills: Stills, source: PeopleClips, seed: int) -> Statistics:
    """Mean and deviation of the embeddings of training pictures."""
    material, _ = source.materials()
    chosen = np.random.default_rng(seed).permutation(len(material.faces))[:STATISTICS_PICTURES]
    pixels = torch.from_numpy(material.faces.pixels[np.sort(chosen)])[..., None].expand(-1, -1, -1, 3)
    embeddings = torch.cat([stills.model.vision(part) for part in torch.split(pixels, 64)])
    return Statistics(
        mean=tuple(embeddings.mean(dim=0).numpy().round(5).tolist()),
        deviation=tuple(embeddings.std(dim=0).clamp(min=1e-3).numpy().round(5).tolist()),
        prior_count=FACE_PRIOR_COUNT,
        memory_count=FACE_MEMORY_COUNT,
    )


def _prototypes(run: PeopleRun, stills: Stills) -> Tensor | None:
    """The class texts, where the preset has text guidance."""
    head = stills.model.text_head
    if head is None or not run.preset.fusion.text_weight:
        return None
    with torch.no_grad():
        return head.text.prototypes(stills.file.labels)


def _fit(run: PeopleRun, config: ModelConfig, ready: PreparedPeople) -> FitResult:
    def on_epoch(epoch: Epoch) -> None:
        log(f"  epoch {epoch.epoch}: loss {epoch.loss:.3f}, validation macro F1 {epoch.macro_f1:.3f}")

    mode = config.fusion.mode
    wanted = {split: [clip for clip in own if _has(clip, mode)] for split, own in ready.windows.items()}
    state = state_folder(run.out) / f"{mode}.safetensors"
    context = FitContext(state=state, resume=run.resume, on_epoch=on_epoch)
    return fit_fusion(
        config, run.preset.fusion, wanted["train"], wanted["validation"], ready.prototypes, run.seed, context
    )


def _has(clip: ClipWindows, mode: Mode) -> bool:
    """Say whether a clip has anything of what a mode takes."""
    if mode == "visual":
        return any(window.frame_mask.any() for window in clip.windows)
    if mode == "audio":
        return any(window.audio_mask.any() for window in clip.windows)
    return True


def _finish(
    run: PeopleRun, ready: PreparedPeople, fitted: dict[Mode, FitResult], watch: Stopwatch
) -> dict[Mode, Scores]:
    """Calibrate, score, and write."""
    config = ready.config
    scores: dict[Mode, Scores] = {}
    metrics: dict[str, Any] = {"temperature": {}}
    for mode, fit in fitted.items():
        held_out = [clip for clip in ready.windows["validation"] if _has(clip, mode)]
        temperature = _calibrate(fit.fusion, held_out)
        metrics["temperature"][mode] = round(temperature, 3)
        scores[mode] = evaluate(fit.fusion, held_out, config.labels)
    metrics |= {"validation": msgspec.to_builtins(scores), "seconds": dict(watch.seconds)}
    for mode, fit in fitted.items():
        folder = run.out if mode == config.fusion.mode else run.out.with_name(f"{run.out.name}-{mode}")
        _save(run, folder, with_mode(config, mode), ready, fit.fusion, metrics)
    write_whole(run.out / LOG_FILE, log_csv(epoch for fit in fitted.values() for epoch in fit.log))
    remove_state(state_folder(run.out))
    say(table({f"{mode} (validation)": value for mode, value in scores.items()}))
    return scores


def _calibrate(fusion: FusionModel, clips: list[ClipWindows]) -> float:
    stitched = stitch_clips(fusion, clips)
    logits = np.concatenate([clip.logits for clip in stitched])
    labels = np.concatenate([clip.labels for clip in stitched])
    temperature = best_temperature(logits[labels != IGNORED], labels[labels != IGNORED])
    soften(fusion, temperature)
    return temperature


def _save(
    run: PeopleRun,
    folder: Path,
    config: ModelConfig,
    ready: PreparedPeople,
    fusion: nn.Module,
    metrics: dict[str, Any],
) -> None:
    settings = {key: value for key, value in msgspec.to_builtins(run.preset).items() if key != "model"}
    people = {"data": str(run.data.resolve()), "fold": run.fold}
    training = TrainingRecord(
        command=run.command,
        seed=run.seed,
        clips={str(split): ready.source.clip_ids(split) for split in SPLITS},
        metrics=metrics,
        settings={**settings, PEOPLE_KEY: people},
        versions=library_versions(),
    )
    assert isinstance(fusion, FusionModel)  # noqa: S101 - as fitted
    vision, audio = ready.models.vision, ready.models.audio
    save_checkpoint(folder, config, training, vision=vision, audio=audio, fusion=fusion)
