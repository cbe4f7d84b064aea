"""CLIP and SigLIP as transformers stores them, renamed as the modules of open_clip and timm that they equal.

``CLIPModel``, ``CLIPVisionModel``, ``CLIPVisionModelWithProjection``, ``CLIPTextModel`` and
``CLIPTextModelWithProjection`` become open_clip's; ``SiglipModel`` and ``SiglipVisionModel``, SigLIP 2 of
fixed size among them, become timm's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import torch
from torch import Tensor
from transformers import CLIPTextConfig, CLIPVisionConfig, SiglipVisionConfig

from emorec_train.model.clip_files import ClipWeights
from emorec_train.model.config import TimmConfig
from emorec_train.model.hub import (
    UnavailableError,
    WeightsError,
    absent,
    configuration,
    fetch_command,
    hub_file,
)
from emorec_train.model.timm_weights import TimmWeights

WEIGHT_FILES: Final = ("model.safetensors", "pytorch_model.bin")
CONFIG_FILE: Final = "config.json"
PREPROCESSOR_FILE: Final = "preprocessor_config.json"
PREFIX: Final = "transformers:"

_RESAMPLE: Final = {2: "bilinear", 3: "bicubic"}
"""Pillow's numbers, as preprocessor files have them."""

_SIGLIP_ARCHITECTURE: Final = "vit_base_patch16_siglip_224"
"""timm's class of all SigLIP sizes; options set the size."""

_TIMM_ACTIVATIONS: Final = {"gelu_pytorch_tanh": "gelu_tanh", "gelu": "gelu"}

State = dict[str, Tensor]
Names = Sequence[tuple[str, str]]

_CLIP_BLOCK: Final[Names] = (
    (r"^encoder\.layers\.", "transformer.resblocks."),
    (r"\.self_attn\.out_proj\.", ".attn.out_proj."),
    (r"\.self_attn\.qkv_proj\.", ".attn.in_proj_"),
    (r"\.layer_norm(\d)\.", r".ln_\1."),
    (r"\.mlp\.fc1\.", ".mlp.c_fc."),
    (r"\.mlp\.fc2\.", ".mlp.c_proj."),
)
_CLIP_VISION: Final[Names] = (
    (r"^embeddings\.class_embedding$", "class_embedding"),
    (r"^embeddings\.patch_embedding\.", "conv1."),
    (r"^embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^pre_layrnorm\.", "ln_pre."),
    (r"^post_layernorm\.", "ln_post."),
    *_CLIP_BLOCK,
)
_CLIP_TEXT: Final[Names] = (
    (r"^embeddings\.token_embedding\.", "token_embedding."),
    (r"^embeddings\.position_embedding\.weight$", "positional_embedding"),
    (r"^final_layer_norm\.", "ln_final."),
    *_CLIP_BLOCK,
)
_SIGLIP: Final[Names] = (
    (r"^embeddings\.patch_embedding\.", "patch_embed.proj."),
    (r"^embeddings\.position_embedding\.weight$", "pos_embed"),
    (r"^post_layernorm\.", "norm."),
    (r"^head\.probe$", "attn_pool.latent"),
    (r"^head\.attention\.out_proj\.", "attn_pool.proj."),
    (r"^head\.layernorm\.", "attn_pool.norm."),
    (r"^head\.mlp\.", "attn_pool.mlp."),
    (r"^encoder\.layers\.", "blocks."),
    (r"\.self_attn\.out_proj\.", ".attn.proj."),
    (r"\.self_attn\.qkv_proj\.", ".attn.qkv."),
    (r"\.layer_norm(\d)\.", r".norm\1."),
)


def find_transformers(pretrained: str, revision: str, *, offline: bool) -> ClipWeights | TimmWeights:
    """Find weights of CLIP or SigLIP.

    Args:
        pretrained: ``transformers:ID`` or ``transformers:FOLDER``.
        revision: Commit of the repository; empty takes the newest.
        offline: Use local files only.

    Raises:
        WeightsError: They can't be had, or are of another kind of model.
    """
    place = pretrained.removeprefix(PREFIX)
    folder = Path(place).expanduser()
    if not folder.is_dir():
        folder, revision = _downloaded(pretrained, place, revision, offline)
    else:
        revision = ""
    config = configuration(pretrained, folder / CONFIG_FILE)
    files = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not files:
        raise WeightsError(pretrained, f"{folder} holds none of {', '.join(WEIGHT_FILES)}")
    preprocess = _preprocess(pretrained, folder)
    kind = str(config.get("model_type"))
    if kind in ("clip", "clip_vision_model", "clip_text_model"):
        return _clip(files[0], revision, kind, config, preprocess)
    if kind in ("siglip", "siglip_vision_model"):
        return _siglip(files[0], revision, kind, config, preprocess)
    raise WeightsError(
        pretrained,
        f"are of a model {kind!r}; there are clip and siglip (SigLIP 2 of a fixed size too, as in"
        " google/siglip2-base-patch16-224), and timm:NAME has most others",
    )


def _downloaded(pretrained: str, repository: str, revision: str, offline: bool) -> tuple[Path, str]:
    """Folder of the hub's cache, and the commit."""
    try:
        config = hub_file(repository, (CONFIG_FILE,), revision, offline=offline)
        revision = revision or config.revision
        hub_file(repository, WEIGHT_FILES, revision, offline=offline)
    except UnavailableError as error:
        names = (CONFIG_FILE, PREPROCESSOR_FILE, WEIGHT_FILES[0])
        command = fetch_command(repository, names, revision, "DIR")
        raise absent(pretrained, error, command, "DIR", f"--vision {PREFIX}DIR") from error
    try:
        hub_file(repository, (PREPROCESSOR_FILE,), revision, offline=offline)
    except UnavailableError as error:
        if not (error.lacking or offline):
            raise WeightsError(pretrained, str(error)) from error
    return config.path.parent, config.revision


def _preprocess(pretrained: str, folder: Path) -> dict[str, Any]:
    """``mean``, ``std`` and ``interpolation`` of the image processor; empty where there is none."""
    if not (folder / PREPROCESSOR_FILE).is_file():
        return {}
    content = configuration(pretrained, folder / PREPROCESSOR_FILE)
    return {
        "mean": content.get("image_mean"),
        "std": content.get("image_std"),
        "interpolation": _RESAMPLE.get(content.get("resample", 3), "bicubic"),
    }


def _clip(
    file: Path, revision: str, kind: str, config: Mapping[str, Any], preprocess: dict[str, Any]
) -> ClipWeights:
    whole = kind == "clip"
    vision = CLIPVisionConfig(**_part(config, "vision_config", whole))
    text = CLIPTextConfig(**_part(config, "text_config", whole))
    model: dict[str, Any] = {
        "embed_dim": config.get("projection_dim", 512),
        "quick_gelu": (text if kind == "clip_text_model" else vision).hidden_act == "quick_gelu",
    }
    if kind != "clip_text_model":
        model["vision_cfg"] = {
            "image_size": vision.image_size,
            "patch_size": vision.patch_size,
            "width": vision.hidden_size,
            "layers": vision.num_hidden_layers,
            "head_width": vision.hidden_size // vision.num_attention_heads,
            "mlp_ratio": vision.intermediate_size / vision.hidden_size,
        }
    if kind != "clip_vision_model":
        model["text_cfg"] = {
            "context_length": text.max_position_embeddings,
            "vocab_size": text.vocab_size,
            "width": text.hidden_size,
            "heads": text.num_attention_heads,
            "layers": text.num_hidden_layers,
        }
    if not _has_projection(config, kind):
        model["embed_dim"] = vision.hidden_size if kind == "clip_vision_model" else text.hidden_size
    note = "" if preprocess else f"note: weights {file.parent}: no {PREPROCESSOR_FILE}; CLIP's own is assumed"
    return ClipWeights(file, revision, model, preprocess, note, clip_state)


def _has_projection(config: Mapping[str, Any], kind: str) -> bool:
    """``CLIPVisionModel`` and ``CLIPTextModel`` end before the projection."""
    return kind == "clip" or any("Projection" in str(name) for name in config.get("architectures") or ())


def _part(config: Mapping[str, Any], name: str, whole: bool) -> dict[str, Any]:
    return dict(config.get(name) or {}) if whole else dict(config)


def clip_state(state: State) -> State:
    """Tensors of transformers' CLIP under open_clip's names."""
    vision = _renamed(_tower(state, "vision_model."), _CLIP_VISION)
    text = _renamed(_tower(state, "text_model."), _CLIP_TEXT)
    if vision:
        projection = state.get("visual_projection.weight")
        width = vision["class_embedding"].shape[0]
        vision["proj"] = torch.eye(width) if projection is None else projection.T
    if text:
        projection = state.get("text_projection.weight")
        width = text["ln_final.weight"].shape[0]
        text["text_projection"] = torch.eye(width) if projection is None else projection.T
    return {**{f"visual.{key}": value for key, value in vision.items()}, **text}


def _tower(state: State, prefix: str) -> State:
    """Tensors of one tower without its prefix, which models of one tower may lack."""
    own = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
    if own or any(key.startswith(("vision_model.", "text_model.")) for key in state):
        return own
    is_text = "embeddings.token_embedding.weight" in state
    return dict(state) if is_text == (prefix == "text_model.") else {}


def _renamed(state: State, names: Names) -> State:
    renamed = {}
    for key, value in _joined(state).items():
        for pattern, replacement in names:
            key = re.sub(pattern, replacement, key)
        renamed[key] = value
    return renamed


def _joined(state: State) -> State:
    """Queries, keys and values of each attention as one matrix."""
    joined = dict(state)
    for key in state:
        match = re.fullmatch(r"(.*\.self_attn)\.q_proj\.(weight|bias)", key)
        if match:
            parts = [joined.pop(f"{match[1]}.{name}_proj.{match[2]}") for name in "qkv"]
            joined[f"{match[1]}.qkv_proj.{match[2]}"] = torch.cat(parts)
    return joined


def _siglip(
    file: Path, revision: str, kind: str, config: Mapping[str, Any], preprocess: dict[str, Any]
) -> TimmWeights:
    vision = SiglipVisionConfig(**_part(config, "vision_config", kind == "siglip"))
    options = {
        "img_size": vision.image_size,
        "patch_size": vision.patch_size,
        "embed_dim": vision.hidden_size,
        "depth": vision.num_hidden_layers,
        "num_heads": vision.num_attention_heads,
        "mlp_ratio": (vision.intermediate_size + 0.5) / vision.hidden_size,  # timm rounds down
        "act_layer": _TIMM_ACTIVATIONS.get(vision.hidden_act, vision.hidden_act),
    }
    known = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"}
    known |= {key: value for key, value in preprocess.items() if value}
    size = (3, vision.image_size, vision.image_size)
    model = TimmConfig(name=_SIGLIP_ARCHITECTURE, options=options)
    return TimmWeights(file, revision, model, {**known, "input_size": size}, siglip_state)


def siglip_state(state: State) -> State:
    """Tensors of transformers' SigLIP under timm's names."""
    own = _renamed(_tower(state, "vision_model."), _SIGLIP)
    own["pos_embed"] = own["pos_embed"][None]
    for name in ("weight", "bias"):
        joined = own.pop(f"head.attention.in_proj_{name}")
        width = joined.shape[0] // 3
        own[f"attn_pool.q.{name}"], own[f"attn_pool.kv.{name}"] = joined[:width], joined[width:]
    return own
