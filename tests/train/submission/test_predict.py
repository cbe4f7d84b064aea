"""``train/submission.py predict``: from training on the challenge's layout to a complete submission."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.windows.decode import FrameRow, RowBuilder, Settled
from emorec_train.data.datasets.template import HEADER
from emorec_train.evaluation.decoding import predict
from layouts import FPS, SECONDS, write_affwild2, write_pictures, write_video
from tiny_commands import call
from tiny_model import tiny_checkpoint

FRAMES = round(SECONDS * FPS)
SEQUENCES = ("20-25-96x96_right", "20-25-96x96_left", "video9")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Beside what is annotated: two persons in a test video, one without a face in some frames."""
    root = write_affwild2(tmp_path / "aff")
    for video in ("20-25-96x96", "video9"):
        write_video(root / "batch2" / f"{video}.mp4", len(video) + 1)
    for seed, name in enumerate(SEQUENCES):
        numbers = [number for number in range(1, FRAMES + 1) if seed or number not in (1, 5, FRAMES)]
        write_pictures(root / "cropped_aligned" / name, numbers, 10 + seed)
    return root


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.txt"
    rows = [f"{name}/{frame:05d}.jpg,0" for name in SEQUENCES for frame in range(1, FRAMES + 1)]
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def arguments(run: Path, root: Path, template: Path, out: Path) -> tuple[str, ...]:
    options = ("--template", str(template), "--out", str(out), "--workers", "1")
    return "submission.py", "predict", str(run), "--data", f"affwild2:{root}", *options


def test_from_training_to_a_complete_submission(
    root: Path, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out, cached = tmp_path / "run", tmp_path / "preds.txt", tmp_path / "cached.txt"
    tiny = ("--preset", "tiny", "--random-encoders", "--workers", "1")
    assert call("run.py", *tiny, "--data", f"affwild2:{root}", "--out", str(run)) == 0
    assert call(*arguments(run, root, template, out)) == 0
    capsys.readouterr()
    assert call("submission.py", "check", str(out), "--template", str(template)) == 0
    assert "3 of 3 videos: complete" in capsys.readouterr().out
    assert call(*arguments(run, root, template, cached), "--cache", str(tmp_path / "cache")) == 0
    assert cached.read_bytes() == out.read_bytes()
    twice = tmp_path / "twice.txt"
    command, predict, *options = arguments(run, root, template, twice)
    cache = ("--cache", str(tmp_path / "cache"))
    assert call(command, predict, str(run), *options, *cache) == 0  # the mean of a model and itself
    assert twice.read_bytes() == out.read_bytes()


def test_what_is_not_there_is_named_before_anything_is_encoded(
    root: Path, template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_checkpoint(tmp_path / "run")
    out = tmp_path / "preds.txt"
    with template.open("a") as file:
        file.write("video10/00001.jpg,0\n")
    assert call(*arguments(tmp_path / "run", root, template, out)) == 1
    assert "lists 1 sequences that are not below" in capsys.readouterr().err
    other = ("--data", f"ravdess:{root}", "--template", str(template), "--out", str(out))
    assert call("submission.py", "predict", str(tmp_path / "run"), *other) == 2
    assert not out.exists()


@pytest.mark.parametrize("smoothing_seconds", [0.0, 0.5])
def test_frames_get_what_the_runtimes_rows_have(smoothing_seconds: float) -> None:
    rng = np.random.default_rng(0)
    labels, steps = ("a", "b", "c"), np.arange(50) / 25.0
    logits, frames = rng.normal(size=(50, 3)).astype(np.float32), np.sort(rng.uniform(-0.2, 2.3, 117))
    decoding = Decoding(smoothing_seconds=smoothing_seconds, logit_bias=(0.1, 0.0, -0.3))
    rows = RowBuilder(labels, decoding)
    for index, time in enumerate(frames.tolist()):
        rows.add_frame(FrameRow(index, time, face=True, box=None))
    settled = Settled(steps, logits, np.ones(50, np.bool_))
    expected = [row.label for row in (*rows.add(settled), *rows.finish())]
    assert [labels[k] for k in predict(steps, logits, decoding, frames)] == expected
