"""A teacher of sound: the first blocks of Whisper's encoder, out of an ONNX file that carries them.

Smart Turn 3 (BSD-2-Clause, weights fine-tuned from OpenAI's Whisper tiny, MIT) is such a file: it lies in
the Python package ``pipecat-ai``, from where ``pip download --no-deps pipecat-ai`` and ``unzip`` bring it.
Its INT8 weights are read, its graph isn't run. Nothing of it enters a checkpoint.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import torch
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, numpy_helper
from torch import nn

from emorec_rt.bundle.manifest import Audio
from emorec_rt.errors import UsageError
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.config import AudioConfig

LAYERS: Final = 2
"""Blocks whose output is learnt: of four, the one that tells emotions apart best."""

_PREFIX: Final = "inner.encoder."
_KEYS: Final = ".self_attn.k_proj"
"""The one projection without a bias, by which the others are known."""


def read_teacher(path: Path, layers: int = LAYERS) -> AudioEncoder:
    """The encoder up to a block's output, without the last norm.

    Args:
        path: ``smart-turn-v3.2-cpu.onnx``, or another file of its kind.
        layers: Blocks to keep.

    Raises:
        UsageError: The file isn't there, or holds no such encoder.
    """
    try:
        tensors = _tensors(onnx.load(path))
        tokens, width = tensors["embed_positions.weight"].shape
        config = AudioConfig(
            kind="whisper",
            width=width,
            layers=layers,
            heads=width // 64,
            intermediate=len(tensors["layers.0.fc1.bias"]),
            mel_bands=tensors["conv1.weight"].shape[1],
            dropout=0.0,
        )
        teacher = AudioEncoder(config, Audio(chunk_tokens=tokens, context_tokens=0, embedding_dim=width))
        own = teacher.whisper.encoder.state_dict()
        teacher.whisper.encoder.load_state_dict({key: torch.from_numpy(tensors[key]) for key in own})
    except (OSError, KeyError, RuntimeError, DecodeError, ValueError) as error:
        raise UsageError(
            f"--teacher {path}: holds no encoder of Whisper's kind ({error}); see docs/train.md"
        ) from error
    encoder: Any = teacher.whisper.encoder
    encoder.layer_norm = nn.Identity()
    return teacher.requires_grad_(False).eval()


def _tensors(model: ModelProto) -> dict[str, NDArray[np.float32]]:
    """The encoder's weights by their names in transformers."""
    reader = _Reader(model)
    found = {
        name.removeprefix(_PREFIX): np.array(value, np.float32)
        for name, value in reader.initializers.items()
        if name.startswith(_PREFIX) and not name.endswith(("_quantized", "_scale", "_zero_point"))
    }
    norm = ""
    for node in model.graph.node:
        if node.op_type == "Conv":
            name = node.input[1].removeprefix(_PREFIX).partition(".weight")[0]
            found[f"{name}.weight"] = reader.constant(node.input[1])
            found[f"{name}.bias"] = reader.constant(node.input[2])
        elif node.op_type == "LayerNormalization":
            norm = node.input[1].removeprefix(_PREFIX)
        elif node.op_type == "MatMul" and norm.startswith("layers.") and reader.is_constant(node.input[1]):
            bias = reader.bias_behind(node.output[0])
            name = bias.removesuffix(".bias") if bias else norm.partition(".self_attn")[0] + _KEYS
            found[f"{name}.weight"] = reader.constant(node.input[1]).T.copy()
    return found


class _Reader:
    """Constants of a quantised graph, and what consumes a tensor."""

    def __init__(self, model: ModelProto) -> None:
        self.initializers: dict[str, NDArray[Any]] = {
            value.name: numpy_helper.to_array(value) for value in model.graph.initializer
        }
        self._makers = {output: node for node in model.graph.node for output in node.output}
        self._takers: dict[str, list[NodeProto]] = {}
        for node in model.graph.node:
            for name in node.input:
                self._takers.setdefault(name, []).append(node)

    def is_constant(self, name: str) -> bool:
        """Say whether a tensor is a weight, quantised or not."""
        if name in self.initializers:
            return True
        maker = self._makers.get(name)
        return (
            maker is not None and maker.op_type == "DequantizeLinear" and maker.input[0] in self.initializers
        )

    def constant(self, name: str) -> NDArray[np.float32]:
        """A weight in floating point."""
        if name in self.initializers:
            return np.array(self.initializers[name], np.float32)
        node = self._makers[name]
        values, scale = (np.array(self.initializers[key], np.float32) for key in node.input[:2])
        zero = np.array(self.initializers[node.input[2]], np.float32) if len(node.input) > 2 else np.zeros(1)
        axis = next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 1)
        shape = [-1 if k == axis else 1 for k in range(values.ndim)] if scale.ndim else []
        return np.asarray((values - zero.reshape(shape or 1)) * scale.reshape(shape or 1), np.float32)

    def bias_behind(self, name: str) -> str:
        """The bias that is added to a tensor next; empty for none."""
        for node in self._takers.get(name, []):
            if node.op_type == "Add":
                for other in node.input:
                    if other.startswith(_PREFIX) and other.endswith(".bias"):
                        return str(other).removeprefix(_PREFIX)
            elif node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
                return self.bias_behind(node.output[0])
        return ""
