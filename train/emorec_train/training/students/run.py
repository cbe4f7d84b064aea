"""The training of students from a teacher's checkpoint to one of theirs."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import torch
from scipy.special import softmax
from torch import Tensor, nn

from emorec_rt.errors import UsageError
from emorec_rt.files import write_whole
from emorec_train.console import Stopwatch, log, say
from emorec_train.data.dataset_clips import DATA_KEY, DataRequest, open_clips, reopen_clips
from emorec_train.data.datasets import DatasetError
from emorec_train.data.labels import IGNORED
from emorec_train.data.source import ClipSource, GeneratedClips
from emorec_train.data.synthetic import ClipSpec, Split
from emorec_train.data.unlabelled import UNLABELLED_KEY, UnlabelledClips
from emorec_train.evaluation.stitched import stitch_clips, window_outputs
from emorec_train.features.crops import CroppedClip, crop_clips
from emorec_train.features.windows import ClipWindows, clip_windows, stack_windows
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.build import Models
from emorec_train.model.checkpoint import FILE_NAME, Checkpoint, load_checkpoint, save_checkpoint
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.config import ModelConfig, VisionConfig
from emorec_train.model.fusion import FusionModel
from emorec_train.model.student_towers import AUDIO, VISUAL
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.students import StudentSettings
from emorec_train.training.fit import FitContext, FitResult, fit_fusion
from emorec_train.training.people.run import PEOPLE_KEY, recorded_people
from emorec_train.training.run import LOG_FILE, library_versions
from emorec_train.training.state import (
    Epoch,
    log_csv,
    read_modules,
    remove_state,
    state_folder,
    write_modules,
)
from emorec_train.training.students import report
from emorec_train.training.students.embeddings import (
    EmbeddingLoss,
    Lesson,
    frame_lesson,
    importance,
    learn_frames,
    learn_sound,
    sound_lesson,
)

REPORT_FILE: Final = "students.json"
STUDENTS_KEY: Final = "students"
"""Key of a checkpoint's settings with its teacher and how it was taught."""

CLIPS_PREFIX: Final = "clips:"
"""Of a folder of clips without labels."""

LEARNT: Final[tuple[Split, ...]] = ("train", "validation")
SECONDS_KEY: Final = "clip_seconds"
"""Key of a checkpoint's settings: length of a generated clip."""


@dataclass(frozen=True)
class StudentRun:
    """Options of a run.

    Attributes:
        teacher: Folder of the large model's checkpoint.
        out: Folder of the student's.
        visual: Name of the visual tower, one of ``student_towers.VISUAL``.
        audio: Name of the sound tower, one of ``student_towers.AUDIO``.
        data: ``clips:FOLDER`` for clips without labels, or data sets as ``train/run.py`` takes them; empty
            for the clips that the teacher has learnt from.
        settings: How to train.
        seed: Of weights, order and augmentation.
        workers: Processes that decode and crop.
        resume: Go on with a run that was stopped.
        command: The command line, for the record.
    """

    teacher: Path
    out: Path
    visual: str = "edge-s"
    audio: str = "edge-s"
    data: tuple[str, ...] = ()
    settings: StudentSettings = field(default_factory=StudentSettings)
    seed: int = 0
    workers: int = 1
    resume: bool = False
    command: str = ""


@dataclass(frozen=True)
class _Material:
    """Clips of one split at both sizes of crops, and the teacher's windows of them."""

    seen: list[CroppedClip]
    own: list[CroppedClip]
    taught: list[ClipWindows]


def distill_students(run: StudentRun) -> report.StudentReport | None:
    """Train both towers and the fusion, compare them with the teacher, and write checkpoint and report.

    Returns:
        The comparison; ``None`` from a run that is complete already.

    Raises:
        EmorecError: Something is wrong with the teacher, the data or the output folder.
    """
    if run.resume and not state_folder(run.out).exists() and (run.out / FILE_NAME).is_file():
        say(f"{run.out} is complete: there is nothing to resume")
        return None
    if not run.resume:
        remove_state(state_folder(run.out))
    watch, teacher = Stopwatch(), load_checkpoint(run.teacher)
    config = student_config(teacher.config, run.visual, run.audio)
    source, recorded = _source(run, teacher)
    with tempfile.TemporaryDirectory(prefix="emorec-train-") as scratch:
        with watch.stage("clips"):
            material = {
                split: _material(source, split, teacher, config, Path(scratch), run.workers)
                for split in LEARNT
            }
        with watch.stage("towers"):
            vision, audio, towers = _towers(run, teacher, config, material, _fingerprint(run, source))
        with watch.stage("features"):
            spec = config.preprocessing
            windows = {
                split: clip_windows(material[split].own, spec, vision, audio, f"{split} features")
                for split in LEARNT
            }
    with watch.stage("fusion"):
        fit = _fit(run, teacher, config, material, windows)
    held_out = windows["validation"]
    said = report.StudentReport(
        clips=len(held_out),
        agreement=report.agreement(
            stitch_clips(fit.fusion, held_out), stitch_clips(teacher.fusion, material["validation"].taught)
        ),
        macro_f1=report.macro_f1(stitch_clips(fit.fusion, held_out), config.labels),
        teacher_macro_f1=report.macro_f1(
            stitch_clips(teacher.fusion, material["validation"].taught), config.labels
        ),
        speedup=report.speedup(*towers),
        visual=towers[0],
        audio=towers[1],
    )
    _save(run, config, Models(vision, audio, fit.fusion), fit, said, watch, source, recorded)
    say(said.lines())
    return said


def student_config(teacher: ModelConfig, visual: str, audio: str) -> ModelConfig:
    """The teacher's model with small towers of the same embeddings.

    Raises:
        UsageError: There is no such tower, or the teacher has no embeddings.
    """
    if teacher.vision.prototypes:
        raise UsageError(
            "--teacher is a zero-shot checkpoint: it has no fusion that a student could take over"
        )
    for name, value, known in (("visual", visual, VISUAL), ("audio", audio, AUDIO)):
        if value not in known:
            raise UsageError(f"--{name} {value}: there are {', '.join(known)}")
    change, spec, tower = msgspec.structs.replace, teacher.preprocessing, VISUAL[visual]
    return change(
        teacher,
        vision=VisionConfig(
            image_size=tower.image_size, embed_dim=teacher.vision.output_width, conv=tower.conv
        ),
        audio=change(AUDIO[audio], token_width=spec.audio.embedding_dim),
        text=None,
        preprocessing=change(
            spec,
            vision=change(spec.vision, crop_size=tower.image_size),
            audio=change(spec.audio, normalize=False),
        ),
    )


def _source(run: StudentRun, teacher: Checkpoint) -> tuple[ClipSource, dict[str, Any]]:
    """Clips to learn from, and what a checkpoint records so that others find them again.

    Raises:
        UsageError: Clips without labels stand beside data sets, or the teacher's clips are gone.
        DatasetError: The data can't be used.
    """
    labels, settings = teacher.config.labels, teacher.training.settings
    folders = [text.removeprefix(CLIPS_PREFIX) for text in run.data if text.startswith(CLIPS_PREFIX)]
    if folders:
        if len(run.data) > 1:
            raise UsageError(
                "--data clips:FOLDER stands alone: put all clips without labels below one folder"
            )
        folder = Path(folders[0]).expanduser().resolve()
        return UnlabelledClips(folder), {UNLABELLED_KEY: str(folder)}
    if run.data:
        request = DataRequest(run.data, labels)
        return open_clips(request, workers=run.workers), {DATA_KEY: request.recorded()}
    kept: dict[str, Any] = {
        key: settings[key] for key in (DATA_KEY, PEOPLE_KEY, SECONDS_KEY) if key in settings
    }
    if PEOPLE_KEY in kept:
        return recorded_people(teacher), kept
    if DATA_KEY in kept:
        return reopen_clips(msgspec.convert(kept[DATA_KEY], DataRequest), labels), kept
    counts: dict[Split, int] = {split: len(teacher.training.clips.get(split, ())) for split in LEARNT}
    seconds = float(settings.get(SECONDS_KEY, ClipSpec().seconds))
    return GeneratedClips(labels, counts, ClipSpec(seconds=seconds)), kept


def _material(
    source: ClipSource, split: Split, teacher: Checkpoint, config: ModelConfig, scratch: Path, workers: int
) -> _Material:
    """Clips of a split.

    Raises:
        DatasetError: None of them could be read.
    """
    large, small = teacher.config.preprocessing.vision, config.preprocessing.vision
    ids = source.clip_ids(split)
    seen = list(crop_clips(source, ids, large, scratch, workers=workers, label=f"{split} clips"))
    if not seen:
        raise DatasetError("--data", f"no clip of the {split} split could be read; see the lines above")
    own = seen
    if small != large:
        read = [clip.clip_id for clip in seen]
        own = list(crop_clips(source, read, small, scratch, workers=workers, label=f"{split} crops"))
    spec = teacher.config.preprocessing
    return _Material(seen, own, clip_windows(seen, spec, teacher.vision, teacher.audio, f"{split} teacher"))


def _towers(
    run: StudentRun,
    teacher: Checkpoint,
    config: ModelConfig,
    material: dict[Split, _Material],
    fingerprint: str,
) -> tuple[VisionEncoder, AudioEncoder, tuple[report.Tower | None, report.Tower | None]]:
    """Both towers, trained or as a stopped run has left them, and what they are worth."""
    torch.manual_seed(run.seed)
    spec, settings = config.preprocessing, run.settings
    vision, audio = VisionEncoder(config.vision, spec.vision), AudioEncoder(config.audio, spec.audio)
    train, held_out = material["train"], material["validation"]
    frames = frame_lesson(teacher.vision, train.seen, train.own, "teacher, frames")
    sounds = sound_lesson(teacher.audio, train.seen, spec.audio, "teacher, sound")
    weights = importance(teacher.fusion, stack_windows(train.taught), settings.importance_windows)
    kept = state_folder(run.out) / "towers.safetensors"
    modules: dict[str, nn.Module] = {"vision": vision, "audio": audio}
    if not (run.resume and read_modules(kept, fingerprint, modules)):
        _teach(vision, audio, frames, sounds, weights, run)
        write_modules(kept, fingerprint, modules)
    for module in modules.values():
        module.requires_grad_(False).eval()
    visual = sound = None
    if len(frames):
        lesson = frame_lesson(teacher.vision, held_out.seen, held_out.own, "held-out frames")
        visual = report.compare_towers(vision, teacher.vision, lesson, _some_crops(held_out.seen), 1.0)
    if len(sounds):
        lesson = sound_lesson(teacher.audio, held_out.seen, spec.audio, "held-out sound")
        seconds = report.chunk_seconds(spec.audio.chunk_tokens)
        sound = report.compare_towers(audio, teacher.audio, lesson, lesson.inputs[:1], seconds)
    return vision, audio, (visual, sound)


def _teach(
    vision: VisionEncoder,
    audio: AudioEncoder,
    frames: Lesson,
    sounds: Lesson,
    weights: tuple[Tensor, Tensor],
    run: StudentRun,
) -> None:
    settings = run.settings
    if len(frames):
        loss = EmbeddingLoss(frames, weights[0], settings)
        loss.begin(vision.visual.projection)  # type: ignore[arg-type]  # of a ConvTower
        log(f"  visual student: loss {learn_frames(vision, frames, loss, settings.visual, run.seed):.3f}")
    if len(sounds):
        loss = EmbeddingLoss(sounds, weights[1], settings)
        loss.begin(audio.mel.projection)
        log(f"  sound student: loss {learn_sound(audio, sounds, loss, settings.audio, run.seed):.3f}")


def _some_crops(clips: Sequence[CroppedClip]) -> Tensor:
    """The first faces, uint8 ``[N, H, W, 3]``."""
    found = (torch.from_numpy(clip.crops[clip.found][: report.FRAMES]) for clip in clips)
    return torch.cat(list(found))[: report.FRAMES]


def _fit(
    run: StudentRun,
    teacher: Checkpoint,
    config: ModelConfig,
    material: dict[Split, _Material],
    windows: dict[Split, list[ClipWindows]],
) -> FitResult:
    """Tune the teacher's fusion on the students' embeddings."""

    def on_epoch(epoch: Epoch) -> None:
        log(
            f"  epoch {epoch.epoch}: loss {epoch.loss:.3f}, macro F1 against the teacher {epoch.macro_f1:.3f}"
        )

    told = {split: _as_told(windows[split], material[split].taught, teacher.fusion) for split in LEARNT}
    context = FitContext(
        state=state_folder(run.out) / "fusion.safetensors", resume=run.resume, on_epoch=on_epoch
    )
    settings = run.settings.fusion
    return fit_fusion(
        config, settings, told["train"], told["validation"], None, run.seed, context, teacher.fusion
    )


def _as_told(
    own: Sequence[ClipWindows], taught: Sequence[ClipWindows], fusion: FusionModel
) -> list[ClipWindows]:
    """The student's windows with the teacher's probabilities as targets, in the place of labels."""
    said = softmax(window_outputs(fusion, stack_windows(taught))[..., : fusion.classes], axis=-1)
    told, first = [], 0
    for clip in own:
        shares = said[first : first + len(clip.windows)]
        first += len(clip.windows)
        labels = [
            np.where(np.arange(len(share)) < window.steps, share.argmax(axis=-1), IGNORED)
            for share, window in zip(shares, clip.windows, strict=True)
        ]
        told.append(replace(clip, labels=tuple(labels), targets=tuple(shares)))
    return told


def _fingerprint(run: StudentRun, source: ClipSource) -> str:
    """Of all that decides what the towers learn."""
    digest = hashlib.sha256(msgspec.json.encode((run.settings, run.seed, run.visual, run.audio)))
    digest.update((run.teacher / FILE_NAME).read_bytes())
    for clip_id in source.clip_ids("train"):
        digest.update(source.fingerprint(clip_id).encode())
    return digest.hexdigest()


def _save(
    run: StudentRun,
    config: ModelConfig,
    models: Models,
    fit: FitResult,
    said: report.StudentReport,
    watch: Stopwatch,
    source: ClipSource,
    recorded: dict[str, Any],
) -> None:
    told: dict[str, Any] = {
        "teacher": run.teacher.name,
        "visual": run.visual,
        "audio": run.audio,
        **msgspec.to_builtins(run.settings),
    }
    training = TrainingRecord(
        command=run.command,
        seed=run.seed,
        clips={str(split): source.clip_ids(split) for split in LEARNT},
        metrics={"students": msgspec.to_builtins(said), "seconds": dict(watch.seconds)},
        settings={STUDENTS_KEY: told, **recorded},
        versions=library_versions(),
    )
    save_checkpoint(run.out, config, training, vision=models.vision, audio=models.audio, fusion=models.fusion)
    write_whole(run.out / LOG_FILE, log_csv(fit.log))
    write_whole(run.out / REPORT_FILE, msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")
    remove_state(state_folder(run.out))
