"""Encoders out of a bundle: their FP32 graphs hold the weights exactly, with batch norms folded in.

Whoever trains another fusion over the encoders of the default model needs no training of them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import ModelProto, numpy_helper
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm as BatchNorm

from emorec_rt.bundle.folder import Bundle
from emorec_rt.errors import UsageError
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.config import AudioConfig, VisionConfig
from emorec_train.model.sound_folder import SoundEncoderFile, write_sound_encoder
from emorec_train.model.stills import StillModel
from emorec_train.model.stills_files import StillsFile, save_stills
from emorec_train.model.vision import VisionEncoder

FOLDED_BIAS: Final = ".weight_bias"
"""What a convolution without a bias gets when a batch norm is folded into it."""


def read_back_pictures(bundle: Bundle, config: VisionConfig, out: Path) -> VisionEncoder:
    """Write the visual encoder as the stage for still pictures does.

    The head for scores isn't in a bundle: it is all zeros, and nothing learns or runs with it.

    Args:
        bundle: One with an FP32 graph.
        config: Architecture of its encoder.
        out: Folder to write to.

    Raises:
        UsageError: The graph is of another architecture.
        BundleError: The bundle has no such graph, or it isn't intact.
        OutputError: The folder can't be written.
    """
    manifest = bundle.manifest
    encoder = VisionEncoder(config, manifest.preprocessing.vision)
    fill_from_graph(encoder, bundle.graph_file("vision", "fp32"))
    model = StillModel(encoder, None, manifest.labels)
    with torch.no_grad():
        for parameter in model.head.parameters():
            parameter.zero_()
    file = StillsFile(
        labels=manifest.labels,
        preprocessing=manifest.preprocessing.vision,
        vision=config,
        training=TrainingRecord(command=_origin(bundle)),
    )
    save_stills(out, file, model.eval())
    return encoder.eval()


def read_back_voices(bundle: Bundle, config: AudioConfig, out: Path) -> AudioEncoder:
    """Write the sound encoder as its stage does.

    Args:
        bundle: One with an FP32 graph and running normalisation of sound.
        config: Architecture of its encoder.
        out: Folder to write to.

    Raises:
        UsageError: The graph is of another architecture, or the bundle doesn't normalise sound.
        BundleError: The bundle has no such graph, or it isn't intact.
        OutputError: The folder can't be written.
    """
    preprocessing = bundle.manifest.preprocessing
    statistics = preprocessing.normalization.audio
    if statistics is None:
        raise UsageError(f"{bundle.folder}: it has no statistics of sound")
    encoder = AudioEncoder(config, preprocessing.audio)
    fill_from_graph(encoder, bundle.graph_file("audio", "fp32"))
    file = SoundEncoderFile(
        audio=config,
        preprocessing=preprocessing.audio,
        statistics=statistics,
        training={"command": _origin(bundle)},
    )
    write_sound_encoder(out, encoder, file)
    return encoder.eval()


def _origin(bundle: Bundle) -> str:
    return f"read back from the FP32 graphs of bundle {bundle.manifest.name}"


def fill_from_graph(module: nn.Module, path: Path) -> None:
    """Give a module the weights of a graph that was exported from its like.

    A batch norm that the export has folded into the convolution before it becomes the identity, but for its
    bias where the convolution has none.

    Args:
        module: Of the same architecture, all in float32.
        path: The FP32 graph.

    Raises:
        UsageError: The graph lacks a weight of the module, or has it in another shape.
    """
    weights = _weights(onnx.load(path))
    state: dict[str, Tensor] = dict(module.state_dict())
    folded: NDArray[np.float32] | None = None
    for name, part in module.named_modules():
        if isinstance(part, BatchNorm) and f"{name}.running_var" not in weights:
            state |= _identity(name, part, folded)
            folded = None
            continue
        for key in (f"{name}.{own}".lstrip(".") for own in part.state_dict() if "." not in own):
            state[key] = _fitting(key, weights, state[key], path)
        folded = weights.get(f"{name}{FOLDED_BIAS}", folded)
    module.load_state_dict(state)


def _weights(model: ModelProto) -> dict[str, NDArray[np.float32]]:
    """Every constant by name, in PyTorch's layout."""
    products = {node.input[1] for node in model.graph.node if node.op_type == "MatMul"}
    weights = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
    return {name: value.T if name in products else value for name, value in weights.items()}


def _identity(name: str, norm: BatchNorm, bias: NDArray[np.float32] | None) -> dict[str, Tensor]:
    """State of a batch norm that changes nothing but for a bias."""
    zeros = torch.zeros(norm.num_features)
    return {
        f"{name}.weight": torch.ones(norm.num_features),
        f"{name}.bias": zeros if bias is None else torch.from_numpy(bias.copy()),
        f"{name}.running_mean": zeros,
        f"{name}.running_var": torch.full((norm.num_features,), 1.0 - norm.eps),
    }


def _fitting(key: str, weights: dict[str, NDArray[np.float32]], like: Tensor, path: Path) -> Tensor:
    """A weight of the graph, or the module's own counter of batches, which no graph has."""
    if key.endswith("num_batches_tracked"):
        return like
    found = weights.get(key)
    if found is None or found.shape != tuple(like.shape):
        has = "lacks" if found is None else f"has shape {list(found.shape)} for"
        raise UsageError(f"{path}: it {has} {key}, which is {list(like.shape)}: another architecture")
    return torch.from_numpy(found.copy())
