"""Weights of transformers' sound encoders, by Hugging Face id or local folder: configuration and tensors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
from torch import Tensor
from transformers import PretrainedConfig, PreTrainedModel, WhisperConfig, WhisperModel
from transformers.utils import logging

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import UsageError
from emorec_train.console import say
from emorec_train.model.audio import CLASSES, AudioEncoder
from emorec_train.model.config import AudioConfig, ModelConfig
from emorec_train.model.hub import (
    HubFile,
    UnavailableError,
    WeightsError,
    absent,
    configuration,
    fetch_command,
    hub_file,
    short,
)

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
    "conv_pos_kernel_size",
    "num_buckets",
    "max_bucket_distance",
)
"""Fields that shape the computation and have no name of their own in ``AudioConfig``."""

_MODELS: Final[dict[Any, tuple[type[PretrainedConfig], type[PreTrainedModel]]]] = {
    **CLASSES,
    "whisper": (WhisperConfig, WhisperModel),
}
"""By ``model_type``."""

_POSITIONS: Final = "encoder.embed_positions.weight"
"""Of Whisper's encoder."""

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
    places = configuration(pretrained, weights.path).get("weight_map")
    if not isinstance(places, dict):
        raise WeightsError(pretrained, f"{weights.path} names no files")
    return sorted({str(part) for part in places.values()})


def _opened(pretrained: str, folder: Path, revision: str) -> AudioWeights:
    config = configuration(pretrained, folder / CONFIG_FILE)
    kind = config.get("model_type")
    if kind not in _MODELS:
        raise WeightsError(pretrained, f"are of a model {kind!r}; there are {', '.join(_MODELS)}")
    if not any((folder / name).is_file() for name in WEIGHT_FILES):
        raise WeightsError(pretrained, f"{folder} holds none of {', '.join(WEIGHT_FILES)}")
    return AudioWeights(folder, revision, config, _normalizes(pretrained, folder, str(kind)))


def _normalizes(pretrained: str, folder: Path, kind: str) -> bool:
    """``do_normalize`` of the feature extractor that belongs to the weights; Whisper's has none as a rule."""
    usual = kind != "whisper"
    if not (folder / EXTRACTOR_FILE).is_file():
        done = "normalised" if usual else "not normalised"
        say(f"weights {pretrained}: no {EXTRACTOR_FILE}; chunks are {done}, as most such models expect")
        return usual
    extractor = configuration(pretrained, folder / EXTRACTOR_FILE)
    rate = extractor.get("sampling_rate", SAMPLE_RATE_HZ)
    if rate != SAMPLE_RATE_HZ:
        raise WeightsError(pretrained, f"expect sound at {rate} Hz; emorec's is at {SAMPLE_RATE_HZ} Hz")
    return bool(extractor.get("do_normalize", usual))


def adopt_audio(config: ModelConfig, weights: AudioWeights) -> ModelConfig:
    """The configuration with the architecture and preprocessing of these weights.

    Raises:
        WeightsError: The architecture is none that the runtime's chunks fit.
    """
    try:
        audio = _architecture(config.audio, weights)
    except UsageError as error:
        raise WeightsError(config.audio.pretrained, str(error)) from error
    spec = msgspec.structs.replace(
        config.preprocessing.audio, normalize=weights.normalize, embedding_dim=audio.width
    )
    preprocessing = msgspec.structs.replace(config.preprocessing, audio=spec)
    return msgspec.structs.replace(config, audio=audio, preprocessing=preprocessing)


def _architecture(named: AudioConfig, weights: AudioWeights) -> AudioConfig:
    kind = weights.config["model_type"]
    full: Any = _MODELS[kind][0].from_dict(weights.config)
    names: dict[str, Any] = {"pretrained": named.pretrained, "revision": weights.revision or named.revision}
    if kind == "whisper":
        return AudioConfig(
            kind=kind,
            width=full.d_model,
            layers=full.encoder_layers,
            heads=full.encoder_attention_heads,
            intermediate=full.encoder_ffn_dim,
            mel_bands=full.num_mel_bins,
            extra={"activation_function": full.activation_function},
            **names,
        )
    return AudioConfig(
        kind=kind,
        width=full.hidden_size,
        layers=full.num_hidden_layers,
        heads=full.num_attention_heads,
        intermediate=full.intermediate_size,
        conv_channels=tuple(full.conv_dim),
        conv_kernels=tuple(full.conv_kernel),
        conv_strides=tuple(full.conv_stride),
        conv_bias=full.conv_bias,
        conv_norm=getattr(full, "feat_extract_norm", "layer"),  # data2vec knows one way only
        stable_layer_norm=getattr(full, "do_stable_layer_norm", False),
        position_kernel=full.num_conv_pos_embeddings,
        position_groups=full.num_conv_pos_embedding_groups,
        extra={name: getattr(full, name) for name in _EXTRA if hasattr(full, name)},
        **names,
    )


def load_audio(weights: AudioWeights, pretrained: str, audio: AudioEncoder) -> None:
    """Fill the encoder.

    Raises:
        WeightsError: The files are damaged, or lack some of the model's weights.
    """
    kind: Any = _MODELS[weights.config["model_type"]][1]
    try:
        with _quiet():
            published, info = kind.from_pretrained(
                weights.folder, local_files_only=True, output_loading_info=True, attn_implementation="eager"
            )
    except Exception as error:
        raise WeightsError(pretrained, f"{weights.folder} can't be read: {short(error)}") from error
    own = audio.encoder.state_dict()
    lacking = sorted(name for name in info["missing_keys"] if name in own and not name.endswith(_UNUSED))
    wrong = sorted(str(entry[0]) for entry in info.get("mismatched_keys", ()))
    if lacking or wrong:
        raise WeightsError(
            pretrained,
            f"{weights.folder} lacks {len(lacking) + len(wrong)} weights: {(lacking + wrong)[0]}, ...",
        )
    tensors = {key: value for key, value in published.state_dict().items() if key in own}
    if _POSITIONS in own:
        tensors[_POSITIONS] = _first_positions(pretrained, tensors[_POSITIONS], len(own[_POSITIONS]))
    audio.encoder.load_state_dict(tensors)


def _first_positions(pretrained: str, positions: Tensor, count: int) -> Tensor:
    """Those of the first tokens: a chunk may be shorter than the weights' own, but no longer."""
    if len(positions) < count:
        raise WeightsError(
            pretrained, f"have {len(positions)} positions, chunks have {count} tokens; shorten chunk_tokens"
        )
    return positions[:count]


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers from reporting tensors that aren't taken, such as heads."""
    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
