from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from emorec_rt.constants import chunk_samples
from emorec_rt.errors import EmorecError, OutputError
from emorec_train.model.build import Models, build_models
from emorec_train.model.checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from emorec_train.model.checkpoint_parts import CheckpointError, TrainingRecord
from emorec_train.model.config import ModelConfig
from emorec_train.model.text import frozen_prototypes
from small_model import config, feeds

RECORD = TrainingRecord(command="run.py --seed 7", seed=7, clips={"train": ["0", "1"]}, metrics={"f1": 0.5})


def save(folder: Path, model: ModelConfig, models: Models) -> None:
    assert models.text is not None
    save_checkpoint(
        folder,
        model,
        RECORD,
        vision=models.vision,
        audio=models.audio,
        fusion=models.fusion,
        text_prototypes=frozen_prototypes(models.text, model.labels),
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    save(tmp_path / "run", config(), build_models(config()))
    return tmp_path / "run"


def test_round_trip(tmp_path: Path) -> None:
    models = build_models(config())
    save(tmp_path / "run", config(), models)
    loaded = load_checkpoint(tmp_path / "run")
    assert loaded.config == config()
    assert loaded.training == RECORD
    frames = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    samples = torch.randn(2, chunk_samples(20))
    with torch.no_grad():
        assert torch.equal(loaded.vision(frames), models.vision.eval()(frames))
        assert torch.equal(loaded.audio(samples), models.audio.eval()(samples))
        assert torch.equal(loaded.fusion(**feeds()), models.fusion.eval()(**feeds()))
    assert loaded.text_prototypes is not None
    assert loaded.text_prototypes.shape == (8, 16)
    assert not any(module.training for module in (loaded.vision, loaded.audio, loaded.fusion))


def test_saving_again_replaces_and_leaves_nothing_behind(saved: Path) -> None:
    (saved / "metrics.json").write_text("{}")
    save(saved, config(), build_models(config()))
    assert [path.name for path in saved.parent.iterdir()] == ["run"]
    assert not (saved / "metrics.json").exists()


def test_another_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("!")
    with pytest.raises(OutputError, match="not a checkpoint"):
        save(tmp_path / "thesis", config(), build_models(config()))
    assert (tmp_path / "thesis" / "chapter.tex").read_text() == "!"


def test_a_failed_save_leaves_the_old_one(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = (saved / "fusion.safetensors").read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("emorec_train.model.checkpoint.save", full)
    with pytest.raises(OutputError, match="No space left"):
        save(saved, config(), build_models(config()))
    assert (saved / "fusion.safetensors").read_bytes() == before
    assert [path.name for path in saved.parent.iterdir()] == ["run"]


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint\.json can't be read"):
        load_checkpoint(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"\x80\x04pickle", "not a checkpoint of emorec"),
        (b'{"epoch": 3}', "not a checkpoint of emorec"),
        (b'{"format": "other", "schema_version": 1}', "not a checkpoint of emorec"),
        (b'{"format": "emorec-checkpoint", "schema_version": 9}', "schema version 9"),
    ],
)
def test_foreign_files(saved: Path, content: bytes, part: str) -> None:
    (saved / "checkpoint.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=part) as caught:
        load_checkpoint(saved)
    assert isinstance(caught.value, EmorecError)
    assert "\n" not in str(caught.value)


def test_unknown_field_is_named(saved: Path) -> None:
    file = saved / "checkpoint.json"
    content = msgspec.json.decode(file.read_bytes())
    content["model"]["fusion"]["colour"] = "red"
    file.write_bytes(msgspec.json.encode(content))
    with pytest.raises(CheckpointError, match="colour"):
        load_checkpoint(saved)


def test_missing_and_broken_weights(saved: Path) -> None:
    (saved / "audio.safetensors").write_bytes(b"not tensors at all")
    with pytest.raises(CheckpointError, match=r"audio\.safetensors: is not a safetensors file"):
        load_checkpoint(saved)
    (saved / "audio.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"audio\.safetensors: is missing"):
        load_checkpoint(saved)


def test_weights_that_do_not_fit_are_named(saved: Path) -> None:
    file = saved / "fusion.safetensors"
    weights = load_file(file)
    weights["head.3.bias"] = torch.zeros(7)
    save_file(weights, file)
    with pytest.raises(CheckpointError, match=r"head\.3\.bias should be \[8\], is \[7\]"):
        load_checkpoint(saved)
    del weights["head.3.bias"]
    save_file(weights, file)
    with pytest.raises(CheckpointError, match="is absent"):
        load_checkpoint(saved)


def test_newest(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        newest_checkpoint(tmp_path)
    models = build_models(config())
    for age, name in ((0, "new"), (100, "old")):
        save(tmp_path / name, config(), models)
        time = 1_700_000_000 - age
        os.utime(tmp_path / name / "checkpoint.json", (time, time))
    assert newest_checkpoint(tmp_path) == tmp_path / "new"
