"""Encoders that learn in part: which weights move, and that what is saved is a plain encoder."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from emorec_export.graphs import export_graph
from emorec_rt.constants import chunk_samples
from emorec_rt.errors import UsageError
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.checkpoint import load_checkpoint, save_checkpoint
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.fields import EncoderSettings
from emorec_train.training.loop import Optimiser
from emorec_train.training.partial import LoraUnavailableError, last_blocks, learning, lora_targets
from small_model import config
from tiny_model import tiny_models


def settings(**fields: int) -> EncoderSettings:
    return EncoderSettings(steps=2, batch=2, learning_rate=1e-2, **fields)


def encoder(kind: str) -> tuple[nn.Module, Tensor]:
    """Two blocks each, and something for them to encode."""
    torch.manual_seed(0)
    model = config()
    if kind == "vision":
        vision = msgspec.structs.replace(model.vision, layers=2)
        frames = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
        return VisionEncoder(vision, model.preprocessing.vision), frames
    audio = msgspec.structs.replace(model.audio, layers=2, kind=kind)
    return AudioEncoder(audio, model.preprocessing.audio), torch.randn(2, chunk_samples(20))


def train(module: nn.Module, inputs: Tensor) -> set[str]:
    """Two steps; the names of the parameters that a gradient has reached."""
    optimiser = Optimiser([module], steps=2, learning_rate=1e-2, weight_decay=0.0)
    for _ in range(2):  # the second factor of a low-rank update is zero at first
        optimiser.step(module(inputs).square().mean())
    module(inputs).square().mean().backward()
    return {
        name
        for name, parameter in module.named_parameters()
        if parameter.grad is not None and bool(parameter.grad.abs().max() > 0)
    }


@pytest.mark.parametrize("kind", ["vision", "wav2vec2", "wavlm"])
def test_the_last_block_learns_and_nothing_else(kind: str) -> None:
    module, inputs = encoder(kind)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    (place,) = last_blocks(module, 1)
    with learning(module, settings(last_blocks=1)):
        wanted = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        reached = train(module, inputs)
    assert wanted == {name for name, _ in module.named_parameters() if name.startswith(f"{place}.")}
    assert reached
    assert reached <= wanted
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert moved <= wanted


@pytest.mark.parametrize("kind", ["vision", "wav2vec2", "hubert", "wavlm"])
def test_low_rank_updates_are_merged(kind: str) -> None:
    module, inputs = encoder(kind)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    targets = lora_targets(last_blocks(module, 1))
    with learning(module, settings(last_blocks=1, lora_rank=2)):
        reached = train(module, inputs)
        assert {name.partition(".lora_")[0] for name in reached} == set(targets)
        assert all(".lora_" in name for name in reached)
        with torch.no_grad():
            unmerged = module(inputs)
    assert module.state_dict().keys() == before.keys()
    moved = {name for name, value in module.state_dict().items() if not torch.equal(value, before[name])}
    assert moved == {f"{name}.weight" for name in targets}
    with torch.no_grad():
        torch.testing.assert_close(module(inputs), unmerged, atol=1e-4, rtol=1e-4)


def test_a_merged_encoder_is_saved_and_exported(tmp_path: Path) -> None:
    models, model = tiny_models(), config()
    frames = torch.randint(0, 256, (2, 32, 32, 3), dtype=torch.uint8)
    with learning(models.vision, settings(lora_rank=2)):
        train(models.vision, frames)
    save_checkpoint(
        tmp_path / "run",
        model,
        TrainingRecord(),
        vision=models.vision,
        audio=models.audio,
        fusion=models.fusion,
    )
    loaded = load_checkpoint(tmp_path / "run").vision
    graph = export_graph("vision", loaded, model.preprocessing, len(model.labels)).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    feeds: dict[str, Any] = {session.get_inputs()[0].name: frames.numpy()}
    with torch.no_grad():
        expected = models.vision(frames).numpy()
    np.testing.assert_allclose(session.run(None, feeds)[0], expected, atol=1e-4, rtol=1e-4)


def test_the_whole_encoder_learns_without_either() -> None:
    module, _ = encoder("vision")
    module.eval()
    with learning(module, settings()):
        assert module.training
        assert all(parameter.requires_grad for parameter in module.parameters())


def test_more_blocks_than_there_are() -> None:
    module, _ = encoder("vision")
    with pytest.raises(UsageError, match="last_blocks is 3: this VisionEncoder has 2"):
        last_blocks(module, 3)
    assert len(last_blocks(module, 0)) == 2


def test_without_peft(monkeypatch: pytest.MonkeyPatch) -> None:
    module, _ = encoder("vision")
    monkeypatch.setitem(sys.modules, "peft", None)
    with (
        pytest.raises(LoraUnavailableError, match=r"pip install 'emorec\[lora\]'"),
        learning(module, settings(lora_rank=2)),
    ):
        pass
