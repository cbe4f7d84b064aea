"""The fusion of people from encoders to checkpoints, and probabilities that mean what they say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from emorec_rt.errors import UsageError
from emorec_train.model.checkpoint import load_checkpoint
from emorec_train.training.people.calibration import best_temperature, calibration_error, soften
from emorec_train.training.people.run import PeopleRun, recorded_people, train_people
from people_material import tiny_preset, write_encoders, write_material


def test_from_encoders_to_checkpoints(tmp_path: Path) -> None:
    data = write_material(tmp_path / "data")
    pictures, voices = write_encoders(tmp_path)
    run = PeopleRun(tiny_preset(), data, pictures, voices, tmp_path / "fusion", tmp_path / "features")
    scores = train_people(run)
    assert set(scores) == {"visual", "audio", "both"}
    checkpoint = load_checkpoint(run.out)
    spec = checkpoint.config.preprocessing
    assert spec.audio.gate is not None
    assert spec.normalization.audio is not None
    assert spec.normalization.vision is not None
    assert load_checkpoint(tmp_path / "fusion-audio").config.fusion.mode == "audio"
    source = recorded_people(checkpoint)
    assert checkpoint.training.clips["train"] == source.clip_ids("train")
    assert list(source.open("validation-0").items)
    # What a stopped run has made is taken again.
    assert train_people(run)["both"] == scores["both"]


def test_material_that_is_gone(tmp_path: Path) -> None:
    data = write_material(tmp_path / "data")
    pictures, voices = write_encoders(tmp_path)
    run = PeopleRun(
        tiny_preset(2), data, pictures, voices, tmp_path / "fusion", tmp_path / "features", modes=()
    )
    train_people(run)
    data.rename(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="which is gone"):
        recorded_people(load_checkpoint(run.out))


def test_the_temperature_of_overconfident_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0.0, 1.5, (4000, 4)).astype(np.float32)
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(4, p=row / row.sum()) for row in shares.astype(np.float64)])
    assert best_temperature(3.0 * logits, labels) == pytest.approx(3.0, rel=0.1)
    assert calibration_error(shares, labels) < 0.03
    sharp = np.exp(3.0 * logits)
    assert calibration_error(sharp / sharp.sum(axis=1, keepdims=True), labels) > 0.1


def test_softened_logits(tmp_path: Path) -> None:
    import torch

    from emorec_train.model.build import build_models
    from tiny_model import CONFIG

    fusion = build_models(CONFIG).fusion.eval()
    spec = CONFIG.preprocessing
    T, S = spec.window.steps, spec.window_tokens
    feeds = (
        torch.randn(1, T, spec.vision.embedding_dim),
        torch.ones(1, T),
        torch.randn(1, S, spec.audio.embedding_dim),
        torch.ones(1, S),
    )
    with torch.no_grad():
        before = fusion(*feeds)
        soften(fusion, 2.0)
        torch.testing.assert_close(fusion(*feeds), before / 2.0)
