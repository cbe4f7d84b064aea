"""Encoders beside the reference's own: their graphs against PyTorch."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from emorec_export.graphs import export_graph, write_graph
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.manifest import GraphName, expected_tensors
from emorec_train.features import TorchEngine
from emorec_train.model.build import build_models
from emorec_train.model.pretrained import adopt_pretrained
from random_weights import TOWERS, write_audio, write_clip
from small_model import config


@pytest.mark.parametrize("tower", TOWERS)
def test_vision(tower: str, tmp_path: Path) -> None:
    write_clip(tmp_path / "clip", TOWERS[tower])
    _check("vision", tmp_path, f"local-dir:{tmp_path / 'clip'}", "")


@pytest.mark.parametrize("kind", ["wav2vec2", "hubert", "wavlm"])
def test_audio(kind: str, tmp_path: Path) -> None:
    write_audio(tmp_path / "audio", kind)
    _check("audio", tmp_path, "", str(tmp_path / "audio"))


def _check(name: GraphName, folder: Path, vision: str, audio: str) -> None:
    replace, model = msgspec.structs.replace, config()
    named = replace(
        model,
        vision=replace(model.vision, pretrained=vision),
        audio=replace(model.audio, pretrained=audio),
    )
    adopted = adopt_pretrained(named, offline=True)
    spec, classes = adopted.preprocessing, len(adopted.labels)
    module = getattr(build_models(adopted, offline=True), name).eval()
    write_graph(export_graph(name, module, spec, classes), folder / "graph.onnx")
    inputs, outputs = expected_tensors(spec, classes)[name]
    shape = (3, *inputs[0].shape[1:])
    rng = np.random.default_rng(0)
    values = rng.integers(0, 256, shape, np.uint8) if name == "vision" else rng.normal(size=shape)
    feeds = {inputs[0].name: values.astype(inputs[0].dtype)}
    expected = TorchEngine(module, name, spec, classes).run(feeds)[outputs[0].name]
    actual = OrtEngine(folder / "graph.onnx", inputs, outputs, threads=1).run(feeds)[outputs[0].name]
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-4)
