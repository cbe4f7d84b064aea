"""Encoders beside the reference's own: their graphs against PyTorch."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest
import timm
import torch
from onnx import ModelProto
from transformers import SiglipVisionConfig, SiglipVisionModel

from emorec_export.graphs import export_graph, write_graph
from emorec_export.quantize import candidates
from emorec_export.recipe import RECIPES
from emorec_rt.bundle.manifest import GraphName, expected_tensors
from emorec_rt.engines.ort import OrtEngine
from emorec_train.features.windows import TorchEngine
from emorec_train.model.build import build_models
from emorec_train.model.config import ModelConfig
from emorec_train.model.pretrained import adopt_pretrained
from emorec_train.settings.presets import PRESETS
from random_weights import KIN, TOWERS, write_audio, write_clip
from small_model import config


@pytest.mark.parametrize("tower", TOWERS)
def test_vision(tower: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip", TOWERS[tower])
    _check("vision", tmp_path, f"local-dir:{tmp_path / 'clip'}", "")


@pytest.mark.parametrize("kind", ["wav2vec2", "whisper", *KIN])
def test_audio(kind: str, tmp_path: Path) -> None:
    write_audio(tmp_path / "audio", kind)
    _check("audio", tmp_path, "", str(tmp_path / "audio"))


@pytest.mark.parametrize(
    "name",
    [
        "vit_small_patch14_dinov2@56",
        "eva02_tiny_patch14_224@56",
        "convnext_atto@64",
        "beit_base_patch16_224@32",
        "tf_efficientnet_b0@64",
    ],
)
def test_towers_of_timm(name: str, tmp_path: Path) -> None:
    architecture, _, size = name.partition("@")
    tower = timm.create_model(architecture)
    if tower.pretrained_cfg.get("fixed_input_size"):
        tower = timm.create_model(architecture, img_size=int(size))
    torch.save(tower.state_dict(), tmp_path / "weights.pth")
    _check("vision", tmp_path, f"timm:{name}={tmp_path / 'weights.pth'}", "")


def test_siglip(tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    SiglipVisionModel(SiglipVisionConfig(**sizes, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    _check("vision", tmp_path, f"transformers:{tmp_path}", "")


def test_a_plain_tower_whose_norms_are_folded(tmp_path: Path) -> None:
    model = PRESETS["people"].model
    vision = build_models(model).vision.eval()
    for module in vision.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            for values in (module.running_mean, module.bias):
                assert values is not None
                torch.nn.init.normal_(values, std=0.1)
    graph = _compare("vision", model, vision, tmp_path)
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
    convolutions = [node.name for node in graph.graph.node if node.op_type == "Conv"]
    assert convolutions
    assert candidates(graph, RECIPES["int8-fp16"]) == []
    assert candidates(graph, RECIPES["int8"]) == []


def _check(name: GraphName, folder: Path, vision: str, audio: str) -> None:
    replace, model = msgspec.structs.replace, config()
    named = replace(
        model,
        vision=replace(model.vision, pretrained=vision),
        audio=replace(model.audio, pretrained=audio),
    )
    adopted = adopt_pretrained(named, offline=True)
    module = getattr(build_models(adopted, offline=True), name).eval()
    _compare(name, adopted, module, folder)


def _compare(name: GraphName, model: ModelConfig, module: torch.nn.Module, folder: Path) -> ModelProto:
    """Hold an exported graph against its module, and return it."""
    spec, classes = model.preprocessing, len(model.labels)
    exported = export_graph(name, module, spec, classes)
    write_graph(exported, folder / "graph.onnx")
    inputs, outputs = expected_tensors(spec, classes)[name]
    shape = (3, *inputs[0].shape[1:])
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, shape, np.uint8) if name == "vision" else rng.normal(size=shape)
    feeds = {inputs[0].name: values.astype(inputs[0].dtype)}
    expected = TorchEngine(module, name, spec, classes).run(feeds)[outputs[0].name]
    actual = OrtEngine(folder / "graph.onnx", inputs, outputs, threads=1).run(feeds)[outputs[0].name]
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-4)
    return exported
