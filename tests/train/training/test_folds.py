"""Cross-validation in one call."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from emorec_train.evaluation.metrics import matrix_scores
from emorec_train.model.checkpoint import load_checkpoint
from emorec_train.training.folds import pooled
from layouts import write_ravdess
from tiny_commands import call


def test_predictions_of_all_folds_are_scored_together() -> None:
    matrices = [np.array([[4, 0], [2, 2]]), np.array([[1, 3], [0, 4]]), np.array([[2, 2], [2, 2]])]
    tested = [{"both": matrix_scores(matrix, ("a", "b"))} for matrix in matrices]
    own = pooled(tested)["modes"]["both"]
    assert own["pooled"].confusion == sum(matrices).tolist()
    assert own["accuracy"]["by_fold"] == [0.75, 0.625, 0.5]
    assert own["accuracy"]["mean"] == pytest.approx(0.625)
    assert own["accuracy"]["std"] == pytest.approx(0.125)


def test_every_clip_is_tested_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, out = write_ravdess(tmp_path / "ravdess", actors=4), tmp_path / "folds"
    tiny = ("--preset", "tiny", "--random-encoders", "--workers", "1")
    arguments = ("run.py", *tiny, "--data", f"ravdess:{root}", "--folds", "3", "--out", str(out))
    assert call(*arguments) == 0
    told = capsys.readouterr()
    assert told.out.strip() == str(out)
    assert "over 3 folds" in told.err
    tested = [load_checkpoint(out / f"fold-{fold}").training.clips["test"] for fold in (1, 2, 3)]
    every = [clip_id for own in tested for clip_id in own]
    assert len(every) == len(set(every)) == 28
    result = json.loads((out / "folds.json").read_text())
    assert set(result["modes"]) == {"visual", "audio", "both"}
    assert result["modes"]["both"]["pooled"]["steps"] > 0
    assert (out / "confusion.png").is_file()
    before = (out / "fold-1" / "checkpoint.json").stat().st_mtime_ns
    assert call(*arguments, "--resume") == 0
    assert (out / "fold-1" / "checkpoint.json").stat().st_mtime_ns == before
    assert json.loads((out / "folds.json").read_text())["modes"] == result["modes"]


@pytest.mark.parametrize("options", [(), ("--data", "ravdess:/x", "--fold", "1/3")])
def test_folds_need_data(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call("run.py", "--preset", "tiny", "--folds", "3", "--out", str(tmp_path / "x"), *options) == 2
    assert "--folds goes with --data, and without --fold" in capsys.readouterr().err
