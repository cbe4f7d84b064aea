"""CLIP weights that open_clip knows, by tag, file, folder or repository: configuration and tensors.

Nothing is unpickled: safetensors, or files that hold nothing but tensors.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import open_clip
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from open_clip.factory import load_state_dict
from open_clip.pretrained import get_pretrained_cfg
from torch import Tensor

from emorec_rt.errors import UsageError
from emorec_train.model.config import RESNET_POOL_RATIO, ModelConfig, TextConfig, VisionConfig
from emorec_train.model.hub import HubFile, WeightsError, fetch_command, hub_file
from emorec_train.model.text import TextEncoder
from emorec_train.model.vision import VisionEncoder
from emorec_train.progress import say

WEIGHT_FILES: Final = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
CONFIG_FILE: Final = "open_clip_config.json"
FORMS: Final = "MODEL:TAG, MODEL:FILE, local-dir:FOLDER or hf-hub:REPOSITORY"

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


@dataclass(frozen=True, slots=True)
class ClipWeights:
    """Weights on this machine and what is known about them.

    Attributes:
        file: Where they are.
        revision: Their commit; empty for a local file.
        model: open_clip's configuration of the model.
        preprocess: Mean, standard deviation and interpolation of its pictures.
    """

    file: Path
    revision: str
    model: dict[str, Any]
    preprocess: dict[str, Any]


def find_clip(pretrained: str, revision: str, *, offline: bool) -> ClipWeights:
    """Find CLIP weights.

    Args:
        pretrained: ``ViT-B-32:openai``, ``ViT-B-32:/path/open_clip_model.safetensors``, ``local-dir:/path``
            or ``hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K``. A configuration beside a file wins over the
            model's name.
        revision: Commit of the repository; empty takes the newest.
        offline: Don't touch the network.

    Raises:
        UsageError: open_clip knows no such model or tag.
        WeightsError: They can't be had; the message says how to fetch them.
    """
    name, colon, rest = pretrained.partition(":")
    if not colon or not rest:
        raise UsageError(f"vision weights {pretrained!r}: give {FORMS}")
    if name == "local-dir":
        return _folder(pretrained, Path(rest).expanduser())
    if name == "hf-hub":
        return _repository(pretrained, rest, revision, offline)
    model = open_clip.get_model_config(name)
    if model is None:
        raise UsageError(f"vision weights {pretrained!r}: open_clip knows no model {name}; give {FORMS}")
    tag = get_pretrained_cfg(name, rest)
    if tag:
        return _tagged(pretrained, model, tag, revision, offline)
    file = Path(rest).expanduser()
    if file.is_file():
        beside = file.parent / CONFIG_FILE
        return _with_config(pretrained, file, "", beside) if beside.is_file() else _plain(file, model)
    tags = ", ".join(open_clip.list_pretrained_tags_by_model(name)) or "none"
    raise UsageError(f"vision weights {pretrained!r}: {rest} is neither a file nor a tag of {name} ({tags})")


def _plain(file: Path, model: dict[str, Any]) -> ClipWeights:
    return ClipWeights(file, "", model, {})


def _folder(pretrained: str, folder: Path) -> ClipWeights:
    files = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not files or not (folder / CONFIG_FILE).is_file():
        raise WeightsError(pretrained, f"{folder} must hold {CONFIG_FILE} and {' or '.join(WEIGHT_FILES)}")
    return _with_config(pretrained, files[0], "", folder / CONFIG_FILE)


def _repository(pretrained: str, repository: str, revision: str, offline: bool) -> ClipWeights:
    config = hub_file(repository, (CONFIG_FILE,), revision, offline=offline)
    pinned = revision or (config.revision if config else "")
    file = hub_file(repository, WEIGHT_FILES, pinned, offline=offline)
    if config is None or file is None:
        names = (CONFIG_FILE, WEIGHT_FILES[0])
        raise _absent(pretrained, fetch_command(repository, names, revision, "DIR"), "local-dir:DIR", offline)
    return _with_config(pretrained, file.path, file.revision, config.path)


def _tagged(
    pretrained: str, model: dict[str, Any], tag: dict[str, Any], revision: str, offline: bool
) -> ClipWeights:
    repository, _, name = str(tag.get("hf_hub") or "").rpartition("/")
    if repository:
        names = _alternatives(name) if name else WEIGHT_FILES
        found = hub_file(repository, names, revision, offline=offline)
        command = fetch_command(repository, names[:1], revision, "DIR")
        path = f"{pretrained.partition(':')[0]}:DIR/{names[0]}"
    else:
        found = _from_address(str(tag.get("url") or ""), offline)
        command = f"curl -LO {tag.get('url')}"
        path = f"{pretrained.partition(':')[0]}:{Path(str(tag.get('url'))).name}"
    if found is None:
        raise _absent(pretrained, command, path, offline)
    model = {**model, "quick_gelu": bool(tag.get("quick_gelu", False))}
    return ClipWeights(found.path, found.revision, model, tag)


def _alternatives(name: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys((str(Path(name).with_suffix(".safetensors")), name)))


def _from_address(address: str, offline: bool) -> HubFile | None:
    kept = Path("~/.cache/clip").expanduser() / Path(address).name
    if offline:
        return HubFile(kept, "") if kept.is_file() else None
    try:
        return HubFile(Path(open_clip.download_pretrained_from_url(address)), "")
    except (OSError, RuntimeError):
        return None


def _absent(pretrained: str, command: str, path: str, offline: bool) -> WeightsError:
    why = "are not on this machine, and --offline keeps it from the network" if offline else "can't be had"
    return WeightsError(
        pretrained,
        f"{why}; on a machine with a network run `{command}`, copy DIR here and give --vision {path}",
    )


def _with_config(pretrained: str, file: Path, revision: str, config: Path) -> ClipWeights:
    try:
        content = json.loads(config.read_text(encoding="utf-8"))
        return ClipWeights(file, revision, content["model_cfg"], content.get("preprocess_cfg") or {})
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise WeightsError(pretrained, f"{config} is no configuration of open_clip: {error!r}") from error


def adopt_clip(config: ModelConfig, weights: ClipWeights) -> ModelConfig:
    """The configuration with the architecture and preprocessing of these weights.

    Raises:
        WeightsError: The architecture is none that pictures of faces can go through.
    """
    try:
        vision = _vision(config.vision, weights)
        text = _text(config, weights)
        preprocess = {
            "mean": tuple(weights.preprocess.get("mean") or OPENAI_DATASET_MEAN),
            "std": tuple(weights.preprocess.get("std") or OPENAI_DATASET_STD),
            "interpolation": _interpolation(weights.preprocess.get("interpolation") or "bicubic"),
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
        quick_gelu=bool(weights.model.get("quick_gelu", False)),
        extra={name: value for name, value in given.items() if name not in _PLAIN_VISION},
    )


def _text(config: ModelConfig, weights: ClipWeights) -> TextConfig | None:
    given = weights.model.get("text_cfg") or {}
    if config.text is None:
        return None
    if any(given.get(name) for name in _FOREIGN_TEXT):
        say(f"{config.vision.pretrained}: its text tower is none of CLIP's, so there is no text guidance")
        return None
    return msgspec.structs.replace(
        config.text,
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


def _interpolation(name: str) -> str:
    return name if name in ("bilinear", "bicubic") else "bilinear"


def load_clip(weights: ClipWeights, pretrained: str, vision: VisionEncoder, text: TextEncoder | None) -> None:
    """Fill the towers.

    Raises:
        WeightsError: The file is damaged, holds more than tensors, or belongs to another architecture.
    """
    state = _read(weights.file, pretrained)
    _fill(vision.visual, _below(state, "visual."), pretrained, weights.file)
    if text is not None:
        own_module = any(key.startswith("text.") for key in state)
        towers = {key: value for key, value in state.items() if key.startswith(_TEXT_PARTS)}
        _fill(text.tower, _below(state, "text.") if own_module else towers, pretrained, weights.file)


def _read(file: Path, pretrained: str) -> dict[str, Tensor]:
    import pickle

    from safetensors import SafetensorError

    try:
        return dict(load_state_dict(str(file), weights_only=True))
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise WeightsError(
            pretrained,
            f"{file} is damaged, or holds code beside tensors, which is never run; give safetensors",
        ) from error
    except (OSError, ValueError, TypeError, KeyError, AttributeError, EOFError, SafetensorError) as error:
        raise WeightsError(pretrained, f"{file} can't be read: {error}") from error


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
