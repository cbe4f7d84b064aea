"""The graph of the small sound encoder: against PyTorch, and what of it is quantised."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import torch

from emorec_export.graphs import export_graph, write_graph
from emorec_export.quantize import candidates
from emorec_export.recipe import RECIPES
from emorec_rt.bundle.manifest import expected_tensors
from emorec_rt.engines.ort import OrtEngine
from emorec_train.features.windows import TorchEngine
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.config import AudioConfig
from small_model import config


def test_small_sound_encoder(tmp_path: Path) -> None:
    replace, model = msgspec.structs.replace, config()
    audio = AudioConfig(kind="mel", width=24, layers=2, intermediate=48, position_kernel=5, mel_bands=20)
    spec = replace(model.preprocessing, audio=replace(model.preprocessing.audio, normalize=False))
    torch.manual_seed(0)
    module = AudioEncoder(audio, spec.audio).eval()
    graph = export_graph("audio", module, spec, len(model.labels))
    write_graph(graph, tmp_path / "graph.onnx")
    inputs, outputs = expected_tensors(spec, len(model.labels))["audio"]
    sound = 0.1 * np.random.default_rng(0).normal(size=(3, *inputs[0].shape[1:])).astype(np.float32)
    expected = TorchEngine(module, "audio", spec).run({"samples": sound})["tokens"]
    actual = OrtEngine(tmp_path / "graph.onnx", inputs, outputs, threads=1).run({"samples": sound})["tokens"]
    np.testing.assert_allclose(actual, expected, rtol=0.0, atol=1e-4)
    assert candidates(graph, RECIPES["int8"]) == candidates(graph, RECIPES["int8-fp16"]) == []
