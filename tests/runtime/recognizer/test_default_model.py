"""The model that runs without --bundle reads the clip that stands beside it as its table of labels says."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import emorec_rt
from emorec_rt.bundle import DEFAULT_FOLDER, open_bundle

EXAMPLES = Path(__file__).parents[3] / "examples"
MIB = 2**20


@pytest.mark.parametrize("precision", ["int8", "fp32"])
def test_the_clip_and_its_labels(precision: str) -> None:
    with (EXAMPLES / "demo.csv").open(newline="", encoding="utf-8") as file:
        truth = np.array([row["label"] for row in csv.DictReader(file)])
    recognizer = emorec_rt.load(backend="onnxruntime", precision=precision)
    said = np.array([row.label for row in recognizer.stream(EXAMPLES / "demo.mp4")])
    assert len(said) == len(truth)
    assert np.mean(said == truth) >= 0.8
    for label in np.unique(truth):
        names, counts = np.unique(said[truth == label], return_counts=True)
        assert names[counts.argmax()] == label


def test_it_is_small_and_says_what_it_is() -> None:
    manifest = open_bundle().manifest
    assert manifest.name == "default"
    assert {"int8", "fp32"} <= set(manifest.graphs["vision"].variants)
    assert sum(path.stat().st_size for path in DEFAULT_FOLDER.iterdir()) <= 12 * MIB
    assert "not for decisions about people" in manifest.notice
    assert manifest.preprocessing.normalization.audio is not None
    assert manifest.preprocessing.normalization.vision is not None
