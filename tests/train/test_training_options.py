"""``--resume``, ``--set``, ``--tensorboard`` and the log, through the program."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal
from unittest.mock import patch

import msgspec
import pytest
from safetensors.torch import load_file

from emorec_train.settings.changes import change
from emorec_train.training import ablation, features
from emorec_train.training import run as training
from emorec_train.training.encoders import EncoderChoice, choose_encoders
from emorec_train.training.fit import fit_fusion
from random_weights import TOWERS, write_audio, write_clip
from tiny_commands import TRAINED, call


class KilledError(Exception):
    pass


def run(out: Path, *arguments: str, preset: str = "tiny") -> int:
    options = ("--preset", preset, "--random-encoders", "--workers", "1", "--set", "fusion.average_decay=0.5")
    return call("run.py", *options, "--out", str(out), *arguments)


def killed_after(fits: int) -> Callable[..., object]:
    """In the place of ``fit_fusion``."""
    calls = iter(range(fits))

    def fit(*arguments: Any) -> object:
        if next(calls, None) is None:
            raise KilledError
        return fit_fusion(*arguments)

    return fit


def test_a_stopped_run_goes_on_to_the_same_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run(whole, "--tensorboard", str(tmp_path / "board")) == 0
    assert capsys.readouterr().err.count("  epoch 2: loss ") == 3  # a line for each, without a terminal
    assert list((tmp_path / "board").glob("events.*"))

    with patch.object(training, "fit_fusion", killed_after(2)), pytest.raises(KilledError):
        run(stopped)
    kept = {file.name for file in (tmp_path / "stopped.state").iterdir()}
    assert kept == {"visual.safetensors", "audio.safetensors"}
    assert run(stopped, "--set", "fusion.epochs=3", "--resume") == 1
    assert "other settings" in capsys.readouterr().err
    assert run(stopped, "--resume") == 0
    assert not (tmp_path / "stopped.state").exists()

    ours, theirs = load_file(stopped / "fusion.safetensors"), load_file(whole / "fusion.safetensors")
    assert all(ours[key].equal(theirs[key]) for key in theirs)
    assert (stopped / "log.csv").read_bytes() == (whole / "log.csv").read_bytes()
    rows = list(csv.DictReader((whole / "log.csv").read_text().splitlines()))
    assert [(row["mode"], row["epoch"]) for row in rows] == [
        (mode, str(epoch)) for mode in ("visual", "audio", "both") for epoch in (1, 2)
    ]
    settings = msgspec.json.decode((whole / "checkpoint.json").read_bytes())["training"]["settings"]
    assert settings["fusion"]["average_decay"] == 0.5
    capsys.readouterr()
    assert run(stopped, "--resume") == 0
    assert "is complete" in capsys.readouterr().err


def test_encoders_that_have_learnt_are_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert run(whole, preset="tiny-trained") == 0
    with patch.object(training, "fit_fusion", killed_after(1)), pytest.raises(KilledError):
        run(stopped, preset="tiny-trained")
    assert (tmp_path / "stopped.state" / "encoders.safetensors").is_file()
    capsys.readouterr()
    assert run(stopped, "--seed", "1", "--resume", preset="tiny-trained") == 1
    assert "other settings, data or seed" in capsys.readouterr().err
    with patch.object(features, "_train_encoders", side_effect=AssertionError):
        assert run(stopped, "--resume", preset="tiny-trained") == 0
    assert not (tmp_path / "stopped.state").exists()
    for file in ("vision", "audio", "fusion"):
        name = f"{file}.safetensors"
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()


def test_a_stopped_ablation_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    ablate = ("--ablate", "--seeds", "2")
    assert run(whole, *ablate) == 0
    with patch.object(ablation, "fit_fusion", killed_after(9)), pytest.raises(KilledError):
        run(stopped, *ablate)
    kept = [file.name for file in (tmp_path / "stopped.state").iterdir()]
    assert len(kept) == 9
    assert "seed1-audio.safetensors" in kept
    assert run(stopped, *ablate, "--resume") == 0
    assert not (tmp_path / "stopped.state").exists()
    assert (stopped / "ablation.csv").read_bytes() == (whole / "ablation.csv").read_bytes()
    capsys.readouterr()
    assert run(stopped, *ablate, "--resume") == 0
    assert "is complete" in capsys.readouterr().err


def test_an_ablation_in_several_processes_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(tmp_path / "out", "--ablate") == 2
    assert "one process" in capsys.readouterr().err


def test_wrong_settings_are_exit_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "out", "--set", "fusion.epoch=3") == 2
    assert "the nearest is fusion.epochs" in capsys.readouterr().err


def test_a_missing_tensorboard_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with patch.dict(sys.modules, {"torch.utils.tensorboard": None}):
        assert run(tmp_path / "out", "--tensorboard", str(tmp_path / "board")) == 1
    assert "pip install 'emorec[train]'" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_several_processes_need_a_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"WORLD_SIZE": "2", "RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    assert run(tmp_path / "out") == 2
    assert "--cache" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["vision", "audio"])
def test_named_weights_learn_in_part_where_they_are_asked_to(
    name: Literal["vision", "audio"], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_clip(tmp_path / "clip", TOWERS["transformer"])
    write_audio(tmp_path / "audio")
    weights = {"vision": f"local-dir:{tmp_path / 'clip'}", "audio": str(tmp_path / "audio")}
    choice = EncoderChoice(offline=True, **{name: weights[name]})
    asked = change(TRAINED, [f"{name}.steps=5", f"{name}.last_blocks=1"])
    assert getattr(choose_encoders(asked, choice), name) == getattr(asked, name)
    assert "stay as they are" not in capsys.readouterr().err
    whole = change(TRAINED, [f"{name}.steps=5"])
    assert getattr(choose_encoders(whole, choice), name).steps == 0
    assert f"note: weights of --{name} stay as they are: {name}.steps=5 is left" in capsys.readouterr().err
    other = "audio" if name == "vision" else "vision"
    assert getattr(choose_encoders(whole, choice), other).steps == TRAINED.audio.steps


@pytest.mark.parametrize("setting", ["vision.last_blocks=1", "vision.lora_rank=2", "audio.last_blocks=1"])
def test_a_part_that_learns_in_no_steps_is_wrong_usage(
    setting: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path / "run", "--set", setting) == 2
    assert f"{setting.partition('.')[0]}.steps is 0: nothing would" in capsys.readouterr().err
