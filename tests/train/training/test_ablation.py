"""``train/run.py --ablate`` on small data, and the sentences under its table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy import stats
from tables.training import ablation as shown_table

from emorec_train.evaluation.metrics import Scores
from emorec_train.model.fusion import FusionModel
from emorec_train.training.ablation import NO_TEST_SPLIT, VARIANTS, summary, table, verdict
from layouts import write_affwild2
from small_model import config
from tiny_commands import call


def test_variants_of_two_streams_have_one_size() -> None:
    sizes = set()
    for variant in VARIANTS:
        torch.manual_seed(0)
        model = config(variant.mode)
        fusion = FusionModel(model.fusion, model.preprocessing, 8)
        if variant.mode not in ("visual", "audio"):
            sizes.add(sum(parameter.numel() for parameter in fusion.parameters()))
    assert len(sizes) == 1


def test_every_variant_and_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = ("--data", f"affwild2:{write_affwild2(tmp_path / 'aff')}", "--cache", str(tmp_path / "cache"))
    tiny = ("--preset", "tiny", "--random-encoders", "--workers", "1", "--out", str(tmp_path / "out"))
    assert call("run.py", *tiny, *data, "--ablate", "--seeds", "2", "--seed", "4") == 0
    result = json.loads((tmp_path / "out/ablation.json").read_text())
    assert list(result["rows"]) == [variant.name for variant in VARIANTS]
    assert result["seeds"] == [4, 5]
    assert result["split"] == "validation"  # this data set has no test split
    assert result["verdicts"][-1] == NO_TEST_SPLIT
    with (tmp_path / "out/ablation.csv").open() as file:
        rows = {row["variant"]: row for row in csv.DictReader(file)}
    for name, row in result["rows"].items():
        assert float(rows[name]["seed 4"]) == row["macro_f1"][0]
        assert float(rows[name]["mean"]) == pytest.approx(np.mean(row["macro_f1"]))
    picture = cv2.imread(str(tmp_path / "out/ablation.png"))
    assert picture is not None
    assert picture.std() > 1.0
    told = capsys.readouterr().err
    assert all(line in told for line in result["verdicts"])
    shown = shown_table(result)
    assert all(line in shown for line in result["verdicts"])
    assert call("run.py", *tiny, *data, "--quick") == 2
    assert "--quick goes with --ablate" in capsys.readouterr().err


def scores(*values: float) -> list[Scores]:
    return [Scores(accuracy=value, macro_f1=value, f1={}, steps=1) for value in values]


def test_verdicts_come_of_the_numbers() -> None:
    better, worse = [0.60, 0.62, 0.61, 0.64], [0.50, 0.51, 0.52, 0.50]
    interval = stats.ttest_rel(better, worse).confidence_interval(0.95)
    line = verdict("a", better, "b", worse)
    assert line.startswith("a beats b: +0.110 macro F1 on the mean of 4 seeds")
    assert line.endswith(f"interval {interval.low:+.3f} to {interval.high:+.3f}")
    assert verdict("b", worse, "a", better).startswith("b does not beat a: -0.110")
    assert "within the spread of the seeds" in verdict("a", [0.5, 0.7], "b", [0.6, 0.5])
    assert "does not beat" in verdict("a", [0.5, 0.7], "b", [0.5, 0.7])


def test_table_without_text() -> None:
    found = summary({"bi-directional": scores(0.5, 0.7), "concatenation": scores(0.4, 0.5)})
    assert found["rows"]["bi-directional"]["std"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    assert len(found["verdicts"]) == 1
    lines = table({"split": "test", **found}).splitlines()
    assert lines[1].split() == ["bi-directional", "0.600", "0.141", "0.500", "0.700"]
