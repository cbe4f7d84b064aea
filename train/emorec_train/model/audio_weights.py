"""Weights of wav2vec 2.0 and its kin, by Hugging Face id or local folder: configuration and tensors."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from emorec_rt.errors import UsageError
from emorec_rt.signal import SAMPLE_RATE_HZ
from emorec_train.model.audio import CLASSES, AudioEncoder
from emorec_train.model.config import AudioConfig, ModelConfig
from emorec_train.model.hub import (
    HubFile,
    UnavailableError,
    WeightsError,
    absent,
    fetch_command,
    hub_file,
    short,
)
from emorec_train.progress import say

CONFIG_FILE: Final = "config.json"
EXTRACTOR_FILE: Final = "preprocessor_config.json"
INDEX_FILE: Final = "model.safetensors.index.json"
WEIGHT_FILES: Final = ("model.safetensors", "pytorch_model.bin", INDEX_FILE)

_EXTRA: Final = (
    "hidden_act",
    "feat_extract_activation",
    "layer_norm_eps",
    "feat_proj_layer_norm",
    "conv_pos_batch_norm",
    "num_buckets",
    "max_bucket_distance",
)
"""Fields that shape the computation and have no name of their own in ``AudioConfig``."""

_UNUSED: Final = ("masked_spec_embed",)
"""Parameters of pre-training alone, which a checkpoint may lack."""


@dataclass(frozen=True, slots=True)
class AudioWeights:
    """Weights on this machine and what is known about them.

    Attributes:
        folder: Where they are, as transformers lays them out.
        revision: Their commit; empty for a local folder.
        config: ``config.json``.
        normalize: Whether chunks are brought to zero mean and unit variance.
    """

    folder: Path
    revision: str
    config: dict[str, Any]
    normalize: bool


def find_audio(pretrained: str, revision: str, *, offline: bool) -> AudioWeights:
    """Find weights.

    Args:
        pretrained: Hugging Face id, or a folder.
        revision: Commit of the repository; empty takes the newest.
        offline: Don't touch the network.

    Raises:
        WeightsError: They can't be had; the message says how to fetch them. Or they are of another kind.
    """
    folder = Path(pretrained).expanduser()
    if folder.is_dir():
        return _opened(pretrained, folder, "")
    try:
        config = hub_file(pretrained, (CONFIG_FILE,), revision, offline=offline)
        _fetch(pretrained, revision or config.revision, offline)
    except UnavailableError as error:
        command = fetch_command(pretrained, (), revision, "DIR")
        raise absent(pretrained, error, command, "DIR", "--audio DIR") from error
    return _opened(pretrained, config.path.parent, config.revision)


def _fetch(pretrained: str, revision: str, offline: bool) -> None:
    """Bring weights, every part of them, and the feature extractor where there is one."""
    weights = hub_file(pretrained, WEIGHT_FILES, revision, offline=offline)
    for part in _parts(pretrained, weights):
        hub_file(pretrained, (part,), revision, offline=offline)
    try:
        hub_file(pretrained, (EXTRACTOR_FILE,), revision, offline=offline)
    except UnavailableError as error:
        # Offline nobody can tell whether there is one; _normalizes says what is then assumed.
        if not (error.lacking or offline):
            raise


def _parts(pretrained: str, weights: HubFile) -> list[str]:
    """The files that an index names; none where the weights are one file."""
    if weights.path.name != INDEX_FILE:
        return []
    places = _json(pretrained, weights.path).get("weight_map")
    if not isinstance(places, dict):
        raise WeightsError(pretrained, f"{weights.path} names no files")
    return sorted({str(part) for part in places.values()})


def _opened(pretrained: str, folder: Path, revision: str) -> AudioWeights:
    config = _json(pretrained, folder / CONFIG_FILE)
    kind = config.get("model_type")
    if kind not in CLASSES:
        raise WeightsError(pretrained, f"are of a model {kind!r}; there are {', '.join(CLASSES)}")
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise WeightsError(pretrained, f"{folder} holds none of {', '.join(WEIGHT_FILES)}")
    return AudioWeights(folder, revision, config, _normalizes(pretrained, folder))


def _normalizes(pretrained: str, folder: Path) -> bool:
    """``do_normalize`` of the feature extractor that belongs to the weights."""
    if not (folder / EXTRACTOR_FILE).is_file():
        say(f"weights {pretrained}: no {EXTRACTOR_FILE}; chunks are normalised, as most such models expect")
        return True
    extractor = _json(pretrained, folder / EXTRACTOR_FILE)
    rate = extractor.get("sampling_rate", SAMPLE_RATE_HZ)
    if rate != SAMPLE_RATE_HZ:
        raise WeightsError(pretrained, f"expect sound at {rate} Hz; emorec's is at {SAMPLE_RATE_HZ} Hz")
    return bool(extractor.get("do_normalize", True))


def _json(pretrained: str, path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(pretrained, f"{path} can't be read: {error}") from error
    if not isinstance(content, dict):
        raise WeightsError(pretrained, f"{path} is no configuration of transformers")
    return content


def adopt_audio(config: ModelConfig, weights: AudioWeights) -> ModelConfig:
    """The configuration with the architecture and preprocessing of these weights.

    Raises:
        WeightsError: The architecture is none that the runtime's chunks fit.
    """
    full = CLASSES[weights.config["model_type"]][0].from_dict(weights.config)
    try:
        audio = AudioConfig(
            kind=weights.config["model_type"],
            pretrained=config.audio.pretrained,
            revision=weights.revision or config.audio.revision,
            width=full.hidden_size,
            layers=full.num_hidden_layers,
            heads=full.num_attention_heads,
            intermediate=full.intermediate_size,
            conv_channels=tuple(full.conv_dim),
            conv_kernels=tuple(full.conv_kernel),
            conv_strides=tuple(full.conv_stride),
            conv_bias=full.conv_bias,
            conv_norm=full.feat_extract_norm,
            stable_layer_norm=full.do_stable_layer_norm,
            position_kernel=full.num_conv_pos_embeddings,
            position_groups=full.num_conv_pos_embedding_groups,
            extra={name: getattr(full, name) for name in _EXTRA if hasattr(full, name)},
        )
    except UsageError as error:
        raise WeightsError(config.audio.pretrained, str(error)) from error
    spec = msgspec.structs.replace(
        config.preprocessing.audio, normalize=weights.normalize, embedding_dim=audio.width
    )
    preprocessing = msgspec.structs.replace(config.preprocessing, audio=spec)
    return msgspec.structs.replace(config, audio=audio, preprocessing=preprocessing)


def load_audio(weights: AudioWeights, pretrained: str, audio: AudioEncoder) -> None:
    """Fill the encoder.

    Raises:
        WeightsError: The files are damaged, or lack some of the model's weights.
    """
    kind: Any = CLASSES[weights.config["model_type"]][1]
    try:
        published, info = kind.from_pretrained(
            weights.folder, local_files_only=True, output_loading_info=True, attn_implementation="eager"
        )
    except Exception as error:
        raise WeightsError(pretrained, f"{weights.folder} can't be read: {short(error)}") from error
    lacking = sorted(name for name in info["missing_keys"] if not name.endswith(_UNUSED))
    wrong = sorted(str(entry[0]) for entry in info.get("mismatched_keys", ()))
    if lacking or wrong:
        raise WeightsError(
            pretrained,
            f"{weights.folder} lacks {len(lacking) + len(wrong)} weights: {(lacking + wrong)[0]}, ...",
        )
    own = audio.wav2vec2.state_dict()
    audio.wav2vec2.load_state_dict(
        {key: value for key, value in published.state_dict().items() if key in own}
    )
