"""The student's stage: it learns, goes on where it was stopped, and its folder reads back as written."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from emorec_rt.bundle.manifest import Audio, Gate
from emorec_rt.errors import UsageError
from emorec_train.data.recordings import SoundTable
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.build import build_models
from emorec_train.model.checkpoint_parts import CheckpointError
from emorec_train.model.config import AudioConfig
from emorec_train.model.hub import WeightsError
from emorec_train.model.pretrained import adopt_pretrained
from emorec_train.model.sound_folder import SoundEncoderFile, read_sound_encoder
from emorec_train.training import sound_distill as stage
from emorec_train.training.loop import Optimiser
from emorec_train.training.sound_distill import (
    DistillSettings,
    Targets,
    distance,
    distill,
    make_targets,
    pooled,
    sounding,
)
from emorec_train.training.sound_encoder import make_sound_encoder, sounding_tokens
from emorec_train.training.teacher import read_teacher
from recording_files import SPEECH, VOICES, write_folder
from small_model import config

CPU = torch.device("cpu")
STUDENT = AudioConfig(kind="mel", width=16, layers=1, intermediate=24, position_kernel=5, mel_bands=20)
SPEC = Audio(chunk_tokens=20, context_tokens=5, normalize=False, embedding_dim=16, gate=Gate())
SETTINGS = DistillSettings(steps=12, batch=3, piece_tokens=20)
NOISE = np.random.default_rng(5).normal(0.0, 0.1, 30_000).astype(np.float32)
WIDTH, INNER, BANDS, POSITIONS = 64, 24, 20, 40


def write_teacher(path: Path) -> dict[str, np.ndarray]:
    """Weights under the names and between the nodes that Smart Turn's file has; returns those of block 0."""
    rng = np.random.default_rng(0)
    nodes, values, truth = [], [], {}

    def add(name: str, *shape: int) -> str:
        truth[name] = rng.normal(0.0, 0.2, shape).astype(np.float32)
        values.append(numpy_helper.from_array(truth[name], f"inner.encoder.{name}"))
        return f"inner.encoder.{name}"

    def quantised(name: str, *shape: int, axis: int) -> str:
        scale = rng.uniform(0.01, 0.02, shape[axis]).astype(np.float32)
        whole = rng.integers(-127, 128, shape).astype(np.int8)
        spread = [-1 if k == axis else 1 for k in range(len(shape))]
        truth[name] = whole * scale.reshape(spread)
        tensor = f"q{len(values)}"
        for suffix, value in (("", whole), ("_s", scale), ("_z", np.zeros(shape[axis], np.int8))):
            values.append(numpy_helper.from_array(value, tensor + suffix))
        inputs = [tensor, f"{tensor}_s", f"{tensor}_z"]
        output = f"inner.encoder.{name}_DequantizeLinear_Output" if "conv" in name else f"{tensor}_back"
        nodes.append(helper.make_node("DequantizeLinear", inputs, [output], axis=axis))
        return output

    def product(name: str, rows: int, columns: int, *, bias: bool) -> None:
        weight = quantised(f"{name}.weight", rows, columns, axis=1)
        truth[f"{name}.weight"] = truth[f"{name}.weight"].T
        output = f"p{len(values)}"
        nodes.append(helper.make_node("MatMul", ["x", weight], [output]))
        if bias:
            nodes.append(helper.make_node("Add", [output, add(f"{name}.bias", columns)], [f"{output}_b"]))

    for name, channels in (("conv1", BANDS), ("conv2", WIDTH)):
        weight = quantised(f"{name}.weight", WIDTH, channels, 3, axis=0)
        nodes.append(helper.make_node("Conv", ["x", weight, add(f"{name}.bias", WIDTH)], [f"{name}_out"]))
    add("embed_positions.weight", POSITIONS, WIDTH)
    for block in range(3):
        place = f"layers.{block}"
        norm = add(f"{place}.self_attn_layer_norm.weight", WIDTH)
        inputs = ["x", norm, add(f"{place}.self_attn_layer_norm.bias", WIDTH)]
        nodes.append(helper.make_node("LayerNormalization", inputs, [f"n{block}"]))
        for name in ("k", "q", "v", "out"):
            product(f"{place}.self_attn.{name}_proj", WIDTH, WIDTH, bias=name != "k")
        norm = add(f"{place}.final_layer_norm.weight", WIDTH)
        inputs = ["x", norm, add(f"{place}.final_layer_norm.bias", WIDTH)]
        nodes.append(helper.make_node("LayerNormalization", inputs, [f"m{block}"]))
        product(f"{place}.fc1", WIDTH, INNER, bias=True)
        product(f"{place}.fc2", INNER, WIDTH, bias=True)
    add("layer_norm.weight", WIDTH)
    add("layer_norm.bias", WIDTH)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    onnx.save(helper.make_model(helper.make_graph(nodes, "teacher", [x], [], values)), path)
    return truth


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> AudioEncoder:
    path = tmp_path_factory.mktemp("teacher") / "teacher.onnx"
    write_teacher(path)
    return read_teacher(path)


def sounds(count: int = 4) -> SoundTable:
    rng = np.random.default_rng(1)
    lengths = np.array([6000, 9000, 15_000, 20_000][:count], np.int64)
    pcm = rng.integers(-8000, 8000, lengths.sum()).astype(np.int16)
    return SoundTable(pcm, np.cumsum(lengths) - lengths, lengths)


@pytest.fixture(scope="module")
def targets(teacher: AudioEncoder) -> Targets:
    return make_targets(teacher, sounds(), np.ones(4), CPU)


def test_the_teachers_weights_are_those_of_the_file(tmp_path: Path) -> None:
    truth = write_teacher(tmp_path / "teacher.onnx")
    state = read_teacher(tmp_path / "teacher.onnx").whisper.encoder.state_dict()
    assert state
    for name, value in state.items():
        np.testing.assert_allclose(value, truth[name], atol=1e-6, err_msg=name)


def test_another_file_is_refused_in_a_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no encoder of Whisper's kind"):
        read_teacher(tmp_path / "absent.onnx")
    (tmp_path / "text.onnx").write_text("no model", encoding="utf-8")
    with pytest.raises(UsageError, match="holds no encoder"):
        read_teacher(tmp_path / "text.onnx")


def test_targets_are_the_teachers_tokens_at_each_speed(teacher: AudioEncoder, targets: Targets) -> None:
    table = sounds()
    assert len(targets.starts) == 3 * len(table)
    assert targets.lengths[:4].tolist() == [(n - 400) // 320 + 1 for n in table.lengths]
    assert targets.lengths[5] == pytest.approx(targets.lengths[1] / 0.9, abs=2)
    values = targets.values.astype(np.float32) / 16
    assert abs(values.mean()) < 0.05
    assert values.std() == pytest.approx(1.0, abs=0.05)


def test_pieces_hold_sound_and_its_targets(targets: Targets) -> None:
    samples, values, real = targets.pieces(16, 20, np.random.default_rng(0))
    assert samples.shape == (16, 19 * 320 + 400)
    assert real.any(dim=1).all()
    assert not real.all()  # some recordings are shorter than a piece
    assert not values[~real].any()
    assert (samples != 0).any(dim=1).all()


def test_it_learns(targets: Targets, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, steps=60, learning_rate=5e-3)
    values = []
    original = Optimiser.step

    def step(self: Optimiser, loss: torch.Tensor) -> float:
        values.append(original(self, loss))
        return values[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Optimiser, "step", step)
        distill(STUDENT, SPEC, targets, NOISE, settings, device=CPU, keep=tmp_path)
    assert np.mean(values[-10:]) < np.mean(values[:10]) - 0.1


def test_a_stopped_run_goes_on_as_it_would_have(
    targets: Targets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "KEEP_EVERY", 5)
    whole = distill(STUDENT, SPEC, targets, NOISE, SETTINGS, device=CPU, keep=_made(tmp_path / "whole"))
    steps = 0

    def stop(said: torch.Tensor, target: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        nonlocal steps
        steps += 1
        if steps == 8:
            raise KeyboardInterrupt
        return distance(said, target, real)

    monkeypatch.setattr(stage, "distance", stop)
    with pytest.raises(KeyboardInterrupt):
        distill(STUDENT, SPEC, targets, NOISE, SETTINGS, device=CPU, keep=_made(tmp_path / "cut"))
    monkeypatch.setattr(stage, "distance", distance)
    cut = distill(STUDENT, SPEC, targets, NOISE, SETTINGS, device=CPU, keep=_made(tmp_path / "cut"))
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(cut.state_dict()[name], value, atol=1e-6, rtol=1e-5)


def test_the_state_of_another_run_is_refused(targets: Targets, tmp_path: Path) -> None:
    distill(STUDENT, SPEC, targets, NOISE, SETTINGS, device=CPU, keep=tmp_path)
    other = msgspec.structs.replace(SETTINGS, seed=1)
    with pytest.raises(CheckpointError, match="is of another run"):
        distill(STUDENT, SPEC, targets, NOISE, other, device=CPU, keep=tmp_path)


def test_the_whole_stage(tmp_path: Path) -> None:
    write_folder(tmp_path / "data" / "voices", VOICES)
    write_folder(tmp_path / "data" / "speech", SPEECH)
    write_teacher(tmp_path / "teacher.onnx")
    settings = DistillSettings(steps=2, batch=2, piece_tokens=10)
    out = tmp_path / "out"
    made = make_sound_encoder(tmp_path / "data", tmp_path / "teacher.onnx", out, settings, CPU)
    encoder, file = read_sound_encoder(out)
    assert isinstance(file, SoundEncoderFile)
    assert file.training["recordings"] == 3  # two voices, one piece of speech that isn't held out
    for name, value in made.state_dict().items():
        assert torch.equal(encoder.state_dict()[name], value)
    assert len(file.statistics.mean) == file.audio.width == file.preprocessing.embedding_dim
    assert sum(parameter.numel() for parameter in encoder.parameters()) < 700_000
    base = config()
    named = msgspec.structs.replace(
        base, audio=msgspec.structs.replace(base.audio, pretrained=f"voices:{out}")
    )
    adopted = adopt_pretrained(named, offline=True)
    assert adopted.preprocessing.audio == file.preprocessing
    assert adopted.preprocessing.normalization.audio == file.statistics
    for name, value in build_models(adopted, offline=True).audio.state_dict().items():
        assert torch.equal(value, encoder.state_dict()[name])


def test_silence_gives_no_tokens() -> None:
    encoder = AudioEncoder(STUDENT, SPEC).eval()
    assert len(sounding_tokens(encoder, SPEC, np.zeros(16_000, np.float32))) == 0
    assert len(sounding_tokens(encoder, SPEC, np.zeros(100, np.float32))) == 0
    loud = np.random.default_rng(0).normal(0.0, 0.1, 16_000).astype(np.float32)
    assert len(sounding_tokens(encoder, SPEC, loud)) == 49


def test_what_is_no_encoder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="hold no sound encoder"):
        read_sound_encoder(tmp_path)


def _made(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    return folder


def test_what_is_said_of_a_piece_counts_sound_alone() -> None:
    tokens = torch.randn(2, 20, 4)
    heard = torch.zeros(2, 20, dtype=torch.bool)
    heard[:, 5:12] = True
    expected = torch.cat([tokens[:, 5:12].mean(1), tokens[:, 5:12].std(1, correction=0).log()], dim=1)
    torch.testing.assert_close(pooled(tokens, heard), expected, atol=1e-3, rtol=1e-3)
    samples = torch.zeros(1, 19 * 320 + 400)
    samples[:, 1600:4800] = 0.3 * torch.randn(3200)
    found = sounding(samples, torch.ones(1, 20, dtype=torch.bool))[0]
    assert found[5:14].all()
    assert not found[:3].any()
    assert not found[16:].any()


def test_acted_voices_are_drawn_more_often(targets: Targets) -> None:
    heavy = replace(targets, weights=np.where(np.arange(12) == 0, 1000.0, 1.0))
    samples, _, _ = heavy.pieces(40, 20, np.random.default_rng(0))
    short = (samples != 0).sum(dim=1) < 6001
    assert short.float().mean() > 0.9
