"""CLIP weights into a configuration, and into the encoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
from torch import Tensor

from emorec_train.console import say
from emorec_train.model.clip_files import ClipWeights
from emorec_train.model.config import RESNET_POOL_RATIO, ModelConfig, TextConfig, VisionConfig
from emorec_train.model.hub import WeightsError
from emorec_train.model.tensor_files import read_tensors
from emorec_train.model.text import TextEncoder
from emorec_train.model.vision import VisionEncoder

_TEXT_PARTS: Final = (
    "transformer.",
    "token_embedding.",
    "positional_embedding",
    "ln_final.",
    "text_projection",
)
_PLAIN_VISION: Final = frozenset(
    {"image_size", "patch_size", "width", "layers", "head_width", "mlp_ratio", "output_tokens"}
)
_PLAIN_TEXT: Final = frozenset({"context_length", "vocab_size", "width", "heads", "layers", "output_tokens"})
_FOREIGN_TEXT: Final = ("hf_model_name", "hf_tokenizer_name", "tokenizer_mode", "tokenizer_kwargs")


def adopt_clip(config: ModelConfig, weights: ClipWeights) -> ModelConfig:
    """The configuration with the architecture and preprocessing of these weights; says what is assumed.

    Raises:
        WeightsError: The architecture is unknown, or its pictures are not square.
    """
    if weights.note:
        say(weights.note)
    try:
        vision = _vision(config.vision, weights)
        text = _text(config, weights)
        preprocess = {
            "mean": weights.mean,
            "std": weights.std,
            "interpolation": weights.interpolation,
            "crop_size": vision.image_size,
            "embedding_dim": vision.embed_dim,
        }
        spec = msgspec.convert(
            msgspec.to_builtins(config.preprocessing.vision) | preprocess, type(config.preprocessing.vision)
        )
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            config.vision.pretrained, f"have a configuration of no known form: {error}"
        ) from error
    preprocessing = msgspec.structs.replace(config.preprocessing, vision=spec)
    return msgspec.structs.replace(config, vision=vision, text=text, preprocessing=preprocessing)


def _vision(config: VisionConfig, weights: ClipWeights) -> VisionConfig:
    if "vision_cfg" not in weights.model:
        raise ValueError("there is a text tower, and no visual one")
    given = weights.model["vision_cfg"]
    layers, width = given.get("layers", 12), given.get("width", 768)
    is_resnet = isinstance(layers, list | tuple)
    pooled = width * RESNET_POOL_RATIO if is_resnet else width
    return VisionConfig(
        pretrained=config.pretrained,
        revision=weights.revision or config.revision,
        image_size=_square(given.get("image_size", 224)),
        patch_size=given.get("patch_size") or VisionConfig().patch_size,
        width=width,
        layers=tuple(layers) if is_resnet else layers,
        heads=pooled // given.get("head_width", 64),
        mlp_ratio=given.get("mlp_ratio", 4.0),
        embed_dim=weights.model["embed_dim"],
        quick_gelu=weights.quick_gelu,
        extra={name: value for name, value in given.items() if name not in _PLAIN_VISION},
    )


def adopt_text(config: ModelConfig, weights: ClipWeights) -> ModelConfig:
    """The configuration with the architecture of a text tower that has weights of its own.

    Raises:
        WeightsError: They have no text tower of CLIP's.
    """
    assert config.text is not None  # noqa: S101 - it names the weights
    if not _has_text_tower(weights):
        raise WeightsError(config.text.pretrained, "have no text tower of CLIP's")
    text = msgspec.structs.replace(
        _text_architecture(config.text, weights),
        embed_dim=weights.model["embed_dim"],
        quick_gelu=weights.quick_gelu,
    )
    return msgspec.structs.replace(config, text=text)


def _text(config: ModelConfig, weights: ClipWeights) -> TextConfig | None:
    if config.text is None or config.text.pretrained:
        return config.text
    if not _has_text_tower(weights):
        say(
            f"{config.vision.pretrained}: has no text tower of CLIP's, so there is no text guidance;"
            " --set model.text.pretrained=ViT-B-32:openai takes CLIP's"
        )
        return None
    return _text_architecture(config.text, weights)


def _has_text_tower(weights: ClipWeights) -> bool:
    given = weights.model.get("text_cfg")
    return given is not None and not any(given.get(name) for name in _FOREIGN_TEXT)


def _text_architecture(text: TextConfig, weights: ClipWeights) -> TextConfig:
    given = weights.model["text_cfg"]
    return msgspec.structs.replace(
        text,
        context_length=given.get("context_length", 77),
        vocab_size=given.get("vocab_size", 49408),
        width=given.get("width", 512),
        heads=given.get("heads", 8),
        layers=given.get("layers", 12),
        extra={name: value for name, value in given.items() if name not in _PLAIN_TEXT},
    )


def _square(size: Any) -> int:
    sides = set(size) if isinstance(size, list | tuple) else {size}
    if len(sides) != 1:
        raise ValueError(f"pictures of {size} pixels; face crops are square")
    return int(sides.pop())


def load_clip(
    weights: ClipWeights, pretrained: str, vision: VisionEncoder | None, text: TextEncoder | None
) -> None:
    """Fill the towers that are given.

    Raises:
        WeightsError: The file is damaged, holds more than tensors, or belongs to another architecture.
    """
    state = weights.convert(read_tensors(weights.file, pretrained))
    if vision is not None:
        _fill(vision.visual, _below(state, "visual."), pretrained, weights.file)
    if text is not None:
        own_module = any(key.startswith("text.") for key in state)
        towers = {key: value for key, value in state.items() if key.startswith(_TEXT_PARTS)}
        _fill(text.tower, _below(state, "text.") if own_module else towers, pretrained, weights.file)


def _below(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def _fill(module: Any, state: dict[str, Tensor], pretrained: str, file: Path) -> None:
    own = module.state_dict()
    for key, value in own.items():
        found = state.get(key)
        if found is None or found.shape != value.shape:
            shape = "absent" if found is None else str(list(found.shape))
            raise WeightsError(
                pretrained, f"{file} doesn't fit the model: {key} is {shape}, not {list(value.shape)}"
            )
    module.load_state_dict({key: state[key] for key in own})
