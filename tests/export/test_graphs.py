"""Exported graphs against PyTorch, and what they must not contain."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from emorec_export.eager import plain
from emorec_export.graphs import OPSET, ExportError, check_graph, export_graph, write_graph
from emorec_export.quantize import candidates
from emorec_export.recipe import EXCLUDED, RECIPES
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, TensorSpec, Vision, expected_tensors
from emorec_rt.engines.ort import OrtEngine
from emorec_train.features.windows import TorchEngine
from emorec_train.model.build import Models, build_models
from emorec_train.model.config import VisionConfig
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.presets import REFERENCE
from tiny_model import CONFIG, LABELS

TOLERANCE = 1e-4
TENSORS = expected_tensors(CONFIG.preprocessing, len(LABELS))
Graphs = dict[GraphName, onnx.ModelProto]


def _feeds(inputs: tuple[TensorSpec, ...], batch: int, seed: int = 0) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(seed)
    feeds: dict[str, NDArray[np.generic]] = {}
    for spec in inputs:
        shape = (batch, *spec.shape[1:])
        if spec.dtype == "uint8":
            feeds[spec.name] = rng.integers(0, 256, shape, dtype=np.uint8)
        elif spec.name.endswith("mask"):
            feeds[spec.name] = (rng.random(shape) < 0.7).astype(np.float32)
        else:
            feeds[spec.name] = rng.standard_normal(shape).astype(np.float32)
    return feeds


def _assert_same(name: GraphName, models: Models, path: Path, feeds: dict[str, NDArray[np.generic]]) -> None:
    expected = TorchEngine(getattr(models, name), name, CONFIG.preprocessing, len(LABELS)).run(feeds)
    actual = OrtEngine(path, *TENSORS[name], threads=1).run(feeds)
    for output, values in expected.items():
        np.testing.assert_allclose(actual[output], values, rtol=0.0, atol=TOLERANCE)


@pytest.mark.parametrize("batch", [1, 3, 7])
@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_any_batch(name: GraphName, batch: int, models: Models, graph_files: dict[GraphName, Path]) -> None:
    _assert_same(name, models, graph_files[name], _feeds(TENSORS[name][0], batch))


def _nothing(feeds: dict[str, NDArray[np.generic]], *streams: str) -> None:
    for name in feeds:
        if name.startswith(streams):
            feeds[name] = np.zeros_like(feeds[name])


@pytest.mark.parametrize(
    "edit",
    [
        lambda feeds: _nothing(feeds, "frame"),
        lambda feeds: _nothing(feeds, "audio"),
        lambda feeds: _nothing(feeds, "frame", "audio"),
    ],
    ids=["no video", "no sound", "nothing"],
)
def test_masked_streams(
    edit: Callable[[dict[str, NDArray[np.generic]]], None],
    models: Models,
    graph_files: dict[GraphName, Path],
) -> None:
    feeds = _feeds(TENSORS["fusion"][0], 3)
    edit(feeds)
    _assert_same("fusion", models, graph_files["fusion"], feeds)


@pytest.mark.parametrize("level", [0.0, 1e-6, 1.0])
def test_silence_and_quiet_sound(level: float, models: Models, graph_files: dict[GraphName, Path]) -> None:
    feeds = {"samples": _feeds(TENSORS["audio"][0], 2)["samples"] * np.float32(level)}
    _assert_same("audio", models, graph_files["audio"], feeds)


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_nothing_dead_doubled_or_private(name: GraphName, exported: Graphs) -> None:
    model = exported[name]
    read = {tensor for node in model.graph.node for tensor in node.input}
    assert {value.name for value in model.graph.initializer} <= read
    contents = [
        sha256(bytes(value.dims) + bytes([value.data_type]) + value.raw_data).digest()
        for value in model.graph.initializer
    ]
    assert len(contents) == len(set(contents))
    assert not model.functions
    assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", OPSET)]
    text = model.SerializeToString()
    assert b".py" not in text
    assert str(Path.home()).encode() not in text


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_names_are_the_modules(name: GraphName, exported: Graphs) -> None:
    names = [node.name for node in exported[name].graph.node]
    assert len(names) == len(set(names))
    wanted = {
        "vision": "visual.transformer.resblocks.0.mlp.c_fc/MatMul",
        "audio": "wav2vec2.encoder.layers.0.feed_forward.output_dense/MatMul",
        "fusion": "head.0/MatMul",
    }
    product = next(node for node in exported[name].graph.node if node.name == wanted[name])
    assert product.input[1] == f"{wanted[name].removesuffix('/MatMul')}.weight"
    assert exported[name].producer_name == "emorec"


def test_no_scale_on_the_keys(exported: Graphs) -> None:
    """The scale is in the queries' weights: nothing multiplies inside encoder attention."""
    for name in ("vision", "audio"):
        assert not any(
            node.op_type in {"Mul", "Sqrt", "Div"} and "att" in node.name
            for node in exported[name].graph.node
        )


def test_the_same_model_gives_the_same_bytes(
    models: Models, exported: Graphs, graph_files: dict[GraphName, Path], tmp_path: Path
) -> None:
    again = export_graph("fusion", models.fusion, CONFIG.preprocessing, len(LABELS))
    write_graph(again, tmp_path / "again.onnx")
    assert (tmp_path / "again.onnx").read_bytes() == graph_files["fusion"].read_bytes()


def test_foreign_shapes_and_dead_weights_are_refused(exported: Graphs) -> None:
    inputs, outputs = TENSORS["fusion"]
    with pytest.raises(ExportError, match="has inputs and outputs"):
        check_graph(exported["fusion"], "fusion", inputs[:1], outputs)
    model = onnx.ModelProto()
    model.CopyFrom(exported["fusion"])
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "forgotten"))
    with pytest.raises(ExportError, match="nothing reads: \\['forgotten'\\]"):
        check_graph(model, "fusion", inputs, outputs)


def test_resnet_tower(tmp_path: Path) -> None:
    """Batch norms end up in the convolutions, which keep their names."""
    torch.manual_seed(0)
    config = VisionConfig(image_size=32, width=8, layers=(1, 1, 1, 1), heads=4, embed_dim=16)
    encoder = VisionEncoder(config, CONFIG.preprocessing.vision).eval()
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.bias, part.running_mean, part.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
    model = export_graph("vision", encoder, CONFIG.preprocessing, len(LABELS))
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    names = {node.name for node in model.graph.node}
    assert {"visual.conv1/Conv", "visual.layer2.0.downsample.0/Conv", "visual.attnpool.out/Gemm"} <= names
    write_graph(model, tmp_path / "resnet.onnx")
    feeds = _feeds(TENSORS["vision"][0], 3)
    expected = TorchEngine(encoder, "vision", CONFIG.preprocessing).run(feeds)["embeddings"]
    actual = OrtEngine(tmp_path / "resnet.onnx", *TENSORS["vision"]).run(feeds)["embeddings"]
    np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=TOLERANCE)


def test_timm_tower(tmp_path: Path) -> None:
    """A small FastViT as in MobileCLIP: training branches folded, attention with its scale on the queries."""
    spec = msgspec.structs.replace(
        CONFIG.preprocessing,
        vision=msgspec.structs.replace(CONFIG.preprocessing.vision, crop_size=64, embedding_dim=16),
    )
    encoder = _mobileclip(spec.vision)
    model = export_graph("vision", encoder, spec, len(LABELS))
    kinds = [node.op_type for node in model.graph.node]
    convolutions = _convolutions(plain(encoder))
    assert kinds.count("Conv") == convolutions < _convolutions(encoder)
    assert kinds.count("BatchNormalization") == 1, "the attention block's, which follows no convolution"
    assert "Shape" not in kinds
    attention = "visual.trunk.stages.3.blocks.0.token_mixer.attention"
    names = {node.name for node in model.graph.node}
    assert f"{attention}.joint/MatMul" in names
    assert f"{attention}/Mul" not in names, "the scale is in the queries' weights"
    quantised = candidates(model, RECIPES["int8-fp16"])
    assert f"{attention}.joint/MatMul" in quantised
    assert "visual.trunk.stages.0.blocks.0.mlp.fc1/Conv" not in quantised, "convolutions stay in FP16"
    kept = {pattern for pattern in EXCLUDED if "trunk" in pattern}
    assert len(kept) == 3
    for pattern in kept:
        assert fnmatch.filter(names, pattern), "every exception meets a node"
        assert not fnmatch.filter(quantised, pattern)
    write_graph(model, tmp_path / "mobileclip.onnx")
    tensors = expected_tensors(spec, len(LABELS))["vision"]
    feeds = _feeds(tensors[0], 3)
    expected = TorchEngine(encoder, "vision", spec).run(feeds)["embeddings"]
    assert np.abs(expected - expected[:1]).max() > 1e-2 * np.abs(expected).max(), "it looks at the frames"
    actual = OrtEngine(tmp_path / "mobileclip.onnx", *tensors).run(feeds)["embeddings"]
    np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=TOLERANCE * np.abs(expected).max())


def _mobileclip(spec: Vision) -> VisionEncoder:
    from timm.models.fastvit import FastVit, RepConditionalPosEnc

    torch.manual_seed(0)
    small = VisionConfig(image_size=64, width=8, layers=(1, 1, 1, 1), heads=4, embed_dim=16)
    encoder = VisionEncoder(small, spec)
    encoder.visual = nn.Sequential()
    encoder.visual.trunk = FastVit(
        layers=(1, 1, 1, 1),
        embed_dims=(8, 16, 32, 64),
        mlp_ratios=(3, 3, 3, 3),
        se_downsamples=(False, False, True, True),
        pos_embs=(None, None, None, partial(RepConditionalPosEnc, spatial_shape=(7, 7))),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention"),
        lkc_use_act=True,
        num_classes=16,
        layer_scale_init_value=0.5,
    )
    for part in encoder.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.weight, part.bias, part.running_mean, part.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
        elif isinstance(part, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(part.weight)
    return encoder.eval()


def _convolutions(module: nn.Module) -> int:
    return sum(isinstance(part, nn.Conv2d) for part in module.modules())


def test_full_size_encoders(tmp_path: Path) -> None:
    """ViT-B/32 and wav2vec 2.0 base, random weights, shorter sound: the shapes that users run."""
    spec = msgspec.structs.replace(
        REFERENCE.model.preprocessing,
        audio=msgspec.structs.replace(REFERENCE.model.preprocessing.audio, chunk_tokens=40, context_tokens=5),
    )
    torch.manual_seed(0)
    config = msgspec.structs.replace(REFERENCE.model, preprocessing=spec)
    full = build_models(config, pretrained=False)
    tensors = expected_tensors(spec, len(config.labels))
    for name in ("vision", "audio"):
        path = tmp_path / f"{name}.onnx"
        write_graph(export_graph(name, getattr(full, name), spec, len(config.labels)), path)
        feeds = _feeds(tensors[name][0], 3)
        expected = TorchEngine(getattr(full, name), name, spec).run(feeds)
        actual = OrtEngine(path, *tensors[name]).run(feeds)
        for output, values in expected.items():
            np.testing.assert_allclose(actual[output], values, rtol=0.0, atol=TOLERANCE)


def test_an_operator_that_onnx_lacks_is_one_line() -> None:
    class Foreign(nn.Module):
        def forward(self, frames: torch.Tensor) -> torch.Tensor:
            return torch.linalg.eigvals(frames.float().mean(dim=3)).abs()

    with pytest.raises(ExportError, match=r"^vision: torch .* can't export it: .*linalg_eig") as caught:
        export_graph("vision", Foreign().eval(), CONFIG.preprocessing, len(LABELS))
    assert len(str(caught.value)) < 300
