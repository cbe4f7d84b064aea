"""``train/evaluate.py`` on small data, against scikit-learn."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest
import torch
from sklearn.metrics import classification_report, confusion_matrix, f1_score

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.errors import UsageError
from emorec_rt.windows.decode import FrameRow, RowBuilder, Settled
from emorec_rt.windows.window import Window
from emorec_train.data.labels import IGNORED, ClipLabels
from emorec_train.evaluation import run as evaluation
from emorec_train.evaluation.decoding import Tuned
from emorec_train.evaluation.ensemble import average_clips, expand
from emorec_train.evaluation.metrics import confusion, macro_f1_interval, matrix_scores, present_f1, score
from emorec_train.evaluation.stitched import StitchedClip, frame_truth
from emorec_train.features.windows import with_labels
from emorec_train.model.checkpoint import load_checkpoint, store_decoding
from emorec_train.model.checkpoint_parts import CheckpointError
from layouts import write_affwild2, write_ravdess
from tiny_commands import call
from tiny_model import tiny_checkpoint


def test_metrics_are_scikit_learns() -> None:
    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(-1, 4, 500), rng.integers(0, 4, 500)
    names = ("a", "b", "c", "d")
    kept = truth != IGNORED
    report = classification_report(
        truth[kept], predicted[kept], labels=range(4), target_names=names, output_dict=True
    )
    scores = score(truth, predicted, names)
    assert scores.macro_f1 == pytest.approx(report["macro avg"]["f1-score"])
    assert scores.accuracy == pytest.approx(np.mean(truth[kept] == predicted[kept]))
    assert scores.f1 == pytest.approx({name: report[name]["f1-score"] for name in names}, abs=1e-4)
    np.testing.assert_array_equal(
        confusion(truth, predicted, 4), confusion_matrix(truth[kept], predicted[kept])
    )
    assert scores.uar == pytest.approx(report["macro avg"]["recall"])
    assert scores.weighted_f1 == pytest.approx(report["weighted avg"]["f1-score"])
    few = np.where(truth == 3, 0, truth)
    assert present_f1(confusion(few, predicted % 3, 4)) == pytest.approx(
        f1_score(few[kept], predicted[kept] % 3, average="macro")
    )
    nothing = np.full(3, IGNORED)
    assert not confusion(nothing, nothing * 0, 4).any()
    assert score(nothing, nothing * 0, names).macro_f1 == 0.0


def test_recall_counts_classes_that_occur() -> None:
    scores = matrix_scores(np.array([[3, 1, 0], [0, 2, 2], [0, 0, 0]]), ("a", "b", "c"))
    assert scores.uar == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert scores.f1["c"] == 0.0


def test_an_interval_is_over_clips() -> None:
    right, wrong = np.diag([20, 20]), np.array([[0, 20], [20, 0]])
    low, high = macro_f1_interval([right, right, wrong])
    assert (low, high) == (0.0, 1.0)  # all three draws may be the same clip
    assert macro_f1_interval([right] * 5) == (1.0, 1.0)
    many = macro_f1_interval([right, right, wrong] * 30)
    assert 0.5 < many[0] < 2 / 3 < many[1] < 0.8


def test_generated_clips_tuned_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_checkpoint(tmp_path / "run")
    assert call("evaluate.py", str(tmp_path / "run"), "--tune", "--workers", "1") == 0
    out = tmp_path / "run-test"
    captured = capsys.readouterr()
    assert captured.out.strip() == str(out)
    assert "tuned on validation" in captured.err
    result = json.loads((out / "scores.json").read_text())
    with (out / "videos.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == result["clips"] == 3
    matrix = np.array(result["confusion"])
    assert matrix.sum() == sum(int(row["labelled"]) for row in rows)
    kept = result["scores"].get("decoded", result["scores"]["plain"])
    truth, predicted = (np.repeat(grid, matrix.ravel()) for grid in np.indices(matrix.shape).reshape(2, -1))
    expected = f1_score(truth, predicted, labels=range(8), average="macro", zero_division=0.0)
    assert kept["macro_f1"] == pytest.approx(expected)
    picture = cv2.imread(str(out / "confusion.png"))
    assert picture is not None
    assert picture.std() > 1.0
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.training.metrics["tuned"]["split"] == "validation"
    assert result["decoding"]["smoothing_seconds"] == checkpoint.decoding.smoothing_seconds


def test_tuning_sees_validation_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny_checkpoint(tmp_path / "run")
    seen: list[set[str]] = []
    stitched = evaluation.stitch_clips
    score_clips = evaluation.score_clips

    def remember(clips, labels, decoding=None):  # type: ignore[no-untyped-def]
        seen.append({clip.clip_id for clip in clips})
        return score_clips(clips, labels, decoding)

    def tune_and_look(score_of, counts) -> Tuned:  # type: ignore[no-untyped-def]
        score_of(Decoding())
        assert len(counts) == 8
        assert counts.sum() > 0
        assert seen == [set(load_checkpoint(tmp_path / "run").training.clips["validation"])]
        return Tuned(Decoding(smoothing_seconds=1.0), 0.0, 0.1, 0.2)

    monkeypatch.setattr(evaluation, "stitch_clips", stitched)
    monkeypatch.setattr(evaluation, "score_clips", remember)
    monkeypatch.setattr(evaluation, "tune", tune_and_look)
    evaluation.run_evaluation(
        evaluation.Evaluation((tmp_path / "run",), tmp_path / "out", "test", tune=True, workers=1)
    )
    assert load_checkpoint(tmp_path / "run").decoding == Decoding(smoothing_seconds=1.0)


def test_a_data_set_with_its_cache(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, cache = write_affwild2(tmp_path / "aff"), str(tmp_path / "cache")
    data, tiny = ("--data", f"affwild2:{root}"), ("--preset", "tiny", "--random-encoders", "--workers", "1")
    run = str(tmp_path / "run")
    assert call("run.py", *tiny, *data, "--cache", cache, "--out", run) == 0
    trained = json.loads((tmp_path / "run/metrics.json").read_text())
    before = {path: path.stat().st_mtime_ns for path in Path(cache, "shards").iterdir()}
    options = ("--split", "validation", "--workers", "1")
    assert call("evaluate.py", run, *data, "--cache", cache, *options, "--out", str(tmp_path / "cached")) == 0
    assert {path: path.stat().st_mtime_ns for path in Path(cache, "shards").iterdir()} == before
    assert call("evaluate.py", run, *options, "--out", str(tmp_path / "fly")) == 0
    cached, fly = (json.loads((tmp_path / name / "scores.json").read_text()) for name in ("cached", "fly"))
    assert cached == fly
    assert cached["scores"]["plain"]["macro_f1"] == trained["validation"]["both"]["macro_f1"]
    assert sum(load_checkpoint(run).training.settings["label_steps"].values()) > 0
    capsys.readouterr()
    assert call("evaluate.py", run, *data, "--labels", "Anger,Fear") == 2
    assert call("evaluate.py", str(tmp_path / "nowhere")) == 1
    assert "train/run.py" in capsys.readouterr().err


def scored_videos(folder: Path) -> set[str]:
    with (folder / "videos.csv").open(encoding="utf-8", newline="") as file:
        return {row["video"] for row in csv.DictReader(file)}


def test_clips_stay_in_the_split_that_they_were_trained_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Speakers that are added later move others between splits that are dealt anew."""
    root, run = write_ravdess(tmp_path / "ravdess"), tmp_path / "run"
    data, tiny = ("--data", f"ravdess:{root}"), ("--preset", "tiny", "--random-encoders", "--workers", "1")
    assert call("run.py", *tiny, *data, "--out", str(run)) == 0
    trained = load_checkpoint(run).training.clips
    write_ravdess(root, actors=6)
    next(root.rglob(f"*{trained['test'][0].rpartition(':')[2]}.*")).unlink()
    capsys.readouterr()
    assert call("evaluate.py", str(run), "--workers", "1") == 0
    told = capsys.readouterr().err
    assert "1 clip is gone that the checkpoint names" in told
    assert "left out that the checkpoint doesn't know" in told
    assert scored_videos(tmp_path / "run-test") == set(trained["test"][1:])
    assert call("evaluate.py", str(run), *data, "--workers", "1", "--out", str(tmp_path / "all")) == 0
    assert scored_videos(tmp_path / "all") >= set(trained["test"][1:])
    assert not scored_videos(tmp_path / "all") & {*trained["train"], *trained["validation"]}


def test_validation_takes_the_place_of_a_missing_test_split(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, run = write_affwild2(tmp_path / "aff"), tmp_path / "run"
    data, tiny = ("--data", f"affwild2:{root}"), ("--preset", "tiny", "--random-encoders", "--workers", "1")
    assert call("run.py", *tiny, *data, "--out", str(run)) == 0
    capsys.readouterr()
    assert call("evaluate.py", str(run), "--tune", "--workers", "1") == 0
    told, shown = capsys.readouterr().err, tmp_path / "run-validation"
    assert "there is no test split" in told
    assert "tuned on these very clips" in told
    assert json.loads((shown / "scores.json").read_text())["split"] == "validation"


def test_every_annotated_frame_counts_where_frames_are_labelled() -> None:
    """A clip of 50 frames a second on a grid of 25: what the runtime's rows would say, frame by frame."""
    steps, frames = np.arange(10) / 25.0, np.arange(20) / 50.0
    labels = np.arange(22) % 8
    logits = np.random.default_rng(0).normal(size=(10, 8)).astype(np.float32)
    window = Window(0, 10, 10, steps, *(np.zeros((10, 2), np.float32), np.ones(10, np.float32)) * 2)
    truth = ClipLabels(labels)
    clip = with_labels("a", [window], truth, frames)
    counted = frame_truth(clip)
    assert counted is not None
    stitched = StitchedClip("a", steps, logits, *counted)
    rows = RowBuilder(tuple("01234567"), Decoding())
    for index, time in enumerate(frames.tolist()):
        rows.add_frame(FrameRow(index, time, face=True, box=None))
    settled = Settled(steps, logits, np.ones(10, np.bool_))
    expected = [int(row.label) for row in (*rows.add(settled), *rows.finish())]
    assert stitched.predicted().tolist() == [*expected, expected[-1], expected[-1]]
    assert stitched.labels.tolist() == labels.tolist()
    assert frame_truth(with_labels("a", [window], ClipLabels.whole(3), frames)) is None


def test_a_decoding_must_fit(tmp_path: Path) -> None:
    tiny_checkpoint(tmp_path / "run")
    with pytest.raises(CheckpointError, match="8 labels, the prior correction 2"):
        store_decoding(tmp_path / "run", Decoding(logit_bias=(0.0, 1.0)), {})
    assert load_checkpoint(tmp_path / "run").decoding == Decoding()


def stitched(clip_id: str, logits: list[list[float]], times: list[float] | None = None) -> StitchedClip:
    own = np.array(logits, np.float32)
    seconds = np.arange(len(own)) / 25.0 if times is None else np.array(times)
    return StitchedClip(clip_id, seconds, own, np.zeros(len(own), np.int64))


def test_an_ensemble_averages_probabilities(tmp_path: Path) -> None:
    sure, other = stitched("a", [[np.log(0.9), np.log(0.1)]] * 2), stitched("a", [[0.0, 0.0]] * 2)
    (mean,) = average_clips([[sure], [other]], [tmp_path / "one", tmp_path / "two"])
    np.testing.assert_allclose(np.exp(mean.logits), [[0.7, 0.3]] * 2, rtol=1e-5)
    coarse = stitched("a", [[0.0, 0.0], [4.0, 0.0]], [0.0, 0.08])  # on another grid
    (mean,) = average_clips(
        [[stitched("a", [[0.0, 0.0]] * 3)], [coarse]], [tmp_path / "one", tmp_path / "two"]
    )
    assert mean.logits.shape == (3, 2)
    assert mean.logits[1, 0] - mean.logits[1, 1] > 0.2
    with pytest.raises(UsageError, match=r"two: was not kept from the same clips as .*one \(2 differ"):
        average_clips([[sure], [stitched("b", [[0.0, 0.0]])]], [tmp_path / "one", tmp_path / "two"])


def test_checkpoints_are_averaged_and_stand_for_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_affwild2(tmp_path / "aff")
    tiny = ("--preset", "tiny", "--random-encoders", "--workers", "1", "--data", f"affwild2:{root}")
    runs = [str(tmp_path / f"run{seed}") for seed in range(2)]
    for seed, run in enumerate(runs):
        assert call("run.py", *tiny, "--seed", str(seed), "--out", run) == 0
    out, caches = tmp_path / "both", [str(tmp_path / f"cache{seed}") for seed in range(2)]
    options = ("--workers", "1", "--cache", caches[0], "--cache", caches[1])
    assert call("evaluate.py", *runs, *options, "--tune", "--out", str(out)) == 0
    result = json.loads((out / "scores.json").read_text())
    assert result["checkpoints"] == runs
    assert len(result["macro_f1_interval"]) == 2
    assert "whole clips" not in result["scores"]  # frames have labels of their own
    members, decoding = expand([out])
    assert [str(path) for path in members] == runs
    assert decoding == msgspec.convert(result["decoding"], Decoding)
    assert load_checkpoint(runs[0]).decoding == Decoding()  # the members keep theirs
    capsys.readouterr()
    assert call("evaluate.py", str(out), *options, "--out", str(tmp_path / "again")) == 0
    assert json.loads((tmp_path / "again/scores.json").read_text())["scores"] == result["scores"]
    assert call("evaluate.py", str(out), runs[0]) == 2
    assert "an ensemble of its own" in capsys.readouterr().err
    assert call("evaluate.py", *runs, "--cache", "a", "--cache", "b", "--cache", "c") == 2
    assert "one for each, in their order" in capsys.readouterr().err


def test_clips_of_one_label_are_scored_as_a_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root, run = write_ravdess(tmp_path / "ravdess"), tmp_path / "run"
    tiny = ("--preset", "tiny", "--random-encoders", "--workers", "1", "--data", f"ravdess:{root}")
    assert call("run.py", *tiny, "--out", str(run)) == 0
    assert call("evaluate.py", str(run), "--workers", "1") == 0
    told, out = capsys.readouterr().err, tmp_path / "run-test"
    result = json.loads((out / "scores.json").read_text())
    assert "interval over 1 speakers" in told
    assert result["scores"]["whole clips"]["steps"] == result["clips"] == 7
    with (out / "speakers.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert row["labelled"] == str(result["scores"]["plain"]["steps"])


def test_no_gpu_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiny_checkpoint(tmp_path / "run")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert call("evaluate.py", str(tmp_path / "run"), "--workers", "1", "--device", "cuda") == 2
    assert "torch finds no GPU here" in capsys.readouterr().err
