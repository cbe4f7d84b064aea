"""Students: they come to say what their teacher says, and what they leave is an ordinary checkpoint."""

from __future__ import annotations

import json
import shutil
from contextlib import nullcontext
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
import torch
from torch import nn

from emorec_export.build import Console, Request, build
from emorec_rt.errors import UsageError
from emorec_rt.media.types import Samples
from emorec_rt.windows.window import Window
from emorec_train.data.datasets import DatasetError
from emorec_train.data.labels import IGNORED, ClipLabels
from emorec_train.data.synthetic import ClipSpec, draw_clip, write_clip
from emorec_train.data.unlabelled import UnlabelledClips
from emorec_train.features.crops import CroppedClip
from emorec_train.features.windows import ClipWindows, stack_windows
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.checkpoint import load_checkpoint
from emorec_train.model.config import AudioConfig, ConvConfig
from emorec_train.model.student_towers import AUDIO, VISUAL, VisualTower, gmacs
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.fields import EncoderSettings, FusionSettings
from emorec_train.settings.students import StudentSettings
from emorec_train.training.fit import fit_fusion
from emorec_train.training.state import state_folder
from emorec_train.training.students import embeddings
from emorec_train.training.students import run as stage
from emorec_train.training.students.embeddings import EmbeddingLoss, Lesson, importance, learn_frames
from emorec_train.training.students.run import StudentRun, distill_students, student_config
from small_model import FRAME_WIDTH, PER_STEP, STEPS, TOKEN_WIDTH, config
from tiny_commands import call
from tiny_model import tiny_checkpoint, tiny_models

LIMITS = {"edge-s": (0.35, 0.5), "edge-m": (1.4, 2.0)}
"""Billions of multiply-adds a frame, and a second of sound."""

QUICK = StudentSettings().scaled(1e-3)
SMALL = {
    "VISUAL": {"edge-s": VisualTower(32, ConvConfig(channels=(8, 8), depths=(1, 1), stem_stride=2))},
    "AUDIO": {"edge-s": AudioConfig(kind="mel", width=16, layers=1, intermediate=32, position_kernel=3)},
}
"""Towers that learn in no time."""


def random_clips(count: int) -> list[ClipWindows]:
    """A window a clip."""
    rng = np.random.default_rng(0)
    sizes = ((STEPS, FRAME_WIDTH), (STEPS,), (STEPS * PER_STEP, TOKEN_WIDTH), (STEPS * PER_STEP,))
    made = []
    for number in range(count):
        features = [
            rng.normal(size=size).astype(np.float32) if len(size) == 2 else np.ones(size, np.float32)
            for size in sizes
        ]
        window = Window(0, STEPS, STEPS, np.arange(STEPS) / 25.0, *features)
        made.append(ClipWindows(str(number), [window], (np.zeros(STEPS, np.int64),)))
    return made


@pytest.mark.parametrize("size", LIMITS)
def test_towers_cost_no_more_than_they_may(size: str) -> None:
    model = student_config(config(), size, size)
    spec = model.preprocessing
    side = VISUAL[size].image_size
    frame = gmacs(
        VisionEncoder(model.vision, spec.vision).eval(), torch.zeros(1, side, side, 3, dtype=torch.uint8)
    )
    second = gmacs(AudioEncoder(model.audio, spec.audio).eval(), torch.zeros(1, 16_000))
    assert 0.1 < frame <= LIMITS[size][0]
    assert 0.1 < second <= LIMITS[size][1]


def test_counted_multiply_adds_are_those_of_the_layer() -> None:
    assert gmacs(nn.Conv2d(3, 8, 3, bias=False), torch.zeros(1, 3, 12, 12)) == pytest.approx(
        3 * 8 * 9 * 100 / 1e9
    )
    assert AUDIO["edge-s"].layers < AUDIO["edge-m"].layers


def test_attention_is_counted_though_torch_would_fuse_it() -> None:
    attention = nn.MultiheadAttention(16, 2, bias=False, batch_first=True).eval()

    class OnItself(nn.Module):
        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            mixed: torch.Tensor = attention(tokens, tokens, tokens, need_weights=False)[0]
            return mixed

    projections, products = 4 * 10 * 16 * 16, 2 * 10 * 10 * 16
    assert gmacs(OnItself(), torch.zeros(1, 10, 16)) == pytest.approx((projections + products) / 1e9)


def test_dimensions_that_move_the_logits_count_more() -> None:
    fusion, windows = tiny_models().fusion, stack_windows(random_clips(4))
    frames, tokens = importance(fusion, windows, 8)
    assert frames.shape == (FRAME_WIDTH,)
    assert tokens.shape == (TOKEN_WIDTH,)
    assert float(frames.mean()) == pytest.approx(1.0)
    projection = next(
        m for m in fusion.modules() if isinstance(m, nn.Linear) and m.in_features == FRAME_WIDTH
    )
    with torch.no_grad():
        projection.weight[:, 2:] = 0.0
    frames, _ = importance(fusion, windows, 8)
    assert frames[:2].min() > frames[2:].max()


def test_a_student_learns_its_teachers_embeddings() -> None:
    torch.manual_seed(0)
    crops = torch.randint(0, 256, (64, 8, 8, 3), dtype=torch.uint8)
    means = crops.float().mean(dim=(1, 2)) / 255.0
    lesson = Lesson(crops, torch.cat([means, 1.0 - means], dim=1).half(), torch.ones(64, dtype=torch.bool))

    class Student(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.projection = nn.Linear(3, 6)

        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            projected: torch.Tensor = self.projection(frames.float().mean(dim=(1, 2)) / 255.0)
            return projected

    student, loss = Student(), EmbeddingLoss(lesson, torch.ones(6), StudentSettings())
    loss.begin(student.projection)
    settings = EncoderSettings(steps=150, batch=32, learning_rate=0.1, weight_decay=0.0)
    before = float(loss(student(crops), lesson.outputs.float()).detach())
    assert learn_frames(student, lesson, loss, settings, 0) < 0.3 * before


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_checkpoint(tmp_path_factory.mktemp("teacher") / "large").folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for seed in range(3):
        write_clip(draw_clip(seed, ClipSpec(seconds=1.0)), folder / f"{seed}.mp4")
    return folder


@pytest.fixture(scope="module")
def made(teacher: Path, clips: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("students") / "small"
    arguments = (
        "--teacher",
        str(teacher),
        "--data",
        f"clips:{clips}",
        "--out",
        str(out),
        "--effort",
        "0.001",
    )
    with patch.multiple(stage, **SMALL):
        assert call("distill.py", *arguments) == 0
    return out


def test_the_checkpoint_and_its_comparison(made: Path) -> None:
    checkpoint, said = load_checkpoint(made), json.loads((made / "students.json").read_text())
    assert checkpoint.config.vision.conv == SMALL["VISUAL"]["edge-s"].conv
    assert checkpoint.training.settings["students"]["teacher"] == "large"
    assert said["clips"] == 1
    assert 0.0 <= said["agreement"] <= 1.0
    assert said["macro_f1"] is None
    assert said["visual"]["student_gmacs"] <= LIMITS["edge-s"][0]
    assert said["audio"]["student_gmacs"] <= LIMITS["edge-s"][1]
    assert not state_folder(made).exists()


def test_a_bundle_of_a_student(made: Path, tmp_path: Path) -> None:
    quiet = Console(say=lambda _: None, track=lambda items, *_: nullcontext(items))
    build(
        load_checkpoint(made),
        Request(out=tmp_path / "b", name="small", precisions=("fp32",), test_clips=1),
        quiet,
    )
    assert (tmp_path / "b" / "vision.fp32.onnx").is_file()


def test_the_teachers_own_clips_and_a_stopped_run(
    teacher: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "VISUAL", SMALL["VISUAL"])
    monkeypatch.setattr(stage, "AUDIO", SMALL["AUDIO"])
    run = StudentRun(teacher=teacher, out=tmp_path / "small", settings=QUICK, resume=True)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "fit_fusion", _interrupted)
        with pytest.raises(KeyboardInterrupt):
            distill_students(run)
    with monkeypatch.context() as patched:
        patched.setattr(stage, "learn_frames", _interrupted)  # the towers are there already
        said = distill_students(run)
    assert said is not None
    assert said.macro_f1 is not None
    assert distill_students(run) is None


def _interrupted(*_: object, **__: object) -> object:
    raise KeyboardInterrupt


def test_what_cannot_be_distilled(teacher: Path, clips: Path, tmp_path: Path) -> None:
    both = StudentRun(teacher=teacher, out=tmp_path, data=(f"clips:{clips}", "folder:x"), settings=QUICK)
    with pytest.raises(UsageError, match="stands alone"):
        distill_students(both)
    with pytest.raises(UsageError, match="edge-xl: there are edge-s, edge-m"):
        student_config(config(), "edge-xl", "edge-s")
    assert call("distill.py", "--teacher", str(tmp_path), "--out", str(tmp_path / "o")) == 1


def test_clips_without_labels(clips: Path, tmp_path: Path) -> None:
    source = UnlabelledClips(clips)
    train, held_out = source.clip_ids("train"), source.clip_ids("validation")
    assert len(train) == 2
    assert len(held_out) == 1
    assert not set(train) & set(held_out)
    assert source.truth(train[0]).at(np.array([0.1, 5.0]), np.array([0.0])).tolist() == [IGNORED] * 2
    assert source.fingerprint(train[0]) != source.fingerprint(train[1])
    shutil.copy(clips / train[0], tmp_path / "alone.mp4")
    with pytest.raises(DatasetError, match="fewer than two"):
        UnlabelledClips(tmp_path).clip_ids("train")


def test_of_many_frames_some_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embeddings, "MOST_FRAMES", 10)
    crops = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
    found = np.arange(12) != 4
    clip = CroppedClip("a", np.arange(12.0), crops, found, (), ClipLabels.whole(0))
    lesson = embeddings.frame_lesson(tiny_models().vision, [clip], [clip], "frames")
    np.testing.assert_array_equal(lesson.inputs.numpy(), crops[found][::2])
    assert lesson.outputs.shape == (6, FRAME_WIDTH)


def test_sound_is_taught_in_chunks_and_padding_is_not() -> None:
    audio, spec = tiny_models().audio, config().preprocessing.audio
    pcm = np.random.default_rng(0).normal(0, 0.1, 20 * 320 + 7 * 320 + 80).astype(np.float32)
    clip = CroppedClip(
        "a",
        np.zeros(0),
        np.zeros((0, 32, 32, 3), np.uint8),
        np.zeros(0, bool),
        (Samples(0.0, pcm),),
        ClipLabels.whole(0),
    )
    lesson = embeddings.sound_lesson(audio, [clip], spec, "sound")
    assert lesson.real.sum(dim=1).tolist() == [20, 7]
    with torch.no_grad():
        said = audio(torch.from_numpy(pcm[None, : spec.chunk_samples]))[0]
    torch.testing.assert_close(lesson.outputs[0].float(), said, atol=5e-3, rtol=1e-2)


def test_the_fusion_begins_with_the_teachers() -> None:
    teacher = tiny_models(seed=3).fusion
    settings = FusionSettings(epochs=1, batch=8, learning_rate=1e-9, weight_decay=0.0)
    found = fit_fusion(config(), settings, random_clips(4), random_clips(2), None, 0, start=teacher)
    for name, value in teacher.state_dict().items():
        torch.testing.assert_close(found.fusion.state_dict()[name], value, atol=1e-6, rtol=0.0)
