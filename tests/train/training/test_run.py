from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import torch
from torch import nn

from emorec_train.model.checkpoint import load_checkpoint
from emorec_train.training.loop import Optimiser, TrainingDivergedError, rate_at

ROOT = Path(__file__).resolve().parents[3]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    folders = (str(ROOT / "runtime"), str(ROOT / "train"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(folders)}
    return subprocess.run(
        [sys.executable, str(ROOT / "train" / "run.py"), *arguments],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def test_end_to_end(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "tiny"
    finished = run("--clips", "2", "--effort", "0.002", "--workers", "1", "--seed", "3", "--out", str(out))
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == str(out)
    assert "both (test)" in finished.stderr
    checkpoint = load_checkpoint(out)
    assert checkpoint.training.seed == 3
    assert set(checkpoint.training.clips) == {"train", "validation", "test"}
    assert checkpoint.text_prototypes is not None
    metrics = msgspec.json.decode((out / "metrics.json").read_bytes())
    assert set(metrics["test"]) == {"visual", "audio", "both"}
    assert metrics == checkpoint.training.metrics


def test_wrong_usage_is_exit_2() -> None:
    finished = run("--preset", "huge")
    assert finished.returncode == 2
    assert "huge" in finished.stderr


def test_rate_rises_then_falls() -> None:
    rates = [rate_at(step, 100) for step in range(100)]
    assert rates.index(max(rates)) in (9, 10)
    assert max(rates) == 1.0
    assert rates[-1] < 0.01
    assert rates[10:] == sorted(rates[10:], reverse=True)


def test_a_loss_that_is_no_number_stops_training() -> None:
    model = nn.Linear(1, 1)
    optimiser = Optimiser([model], steps=1, learning_rate=1.0, weight_decay=0.0)
    with pytest.raises(TrainingDivergedError, match="learning rate"):
        optimiser.step(model(torch.tensor([[float("nan")]])).sum())
