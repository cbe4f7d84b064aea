"""Published weights into the encoders of a new model: the only place that may download something."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from emorec_train.model.audio import AudioEncoder
from emorec_train.model.audio_weights import adopt_audio, find_audio, load_audio
from emorec_train.model.clip_files import ClipWeights, find_clip
from emorec_train.model.clip_weights import adopt_clip, adopt_text, load_clip
from emorec_train.model.config import ModelConfig, VisionConfig
from emorec_train.model.hub import WeightsError
from emorec_train.model.sound_folder import adopt_sound_encoder, is_sound_encoder, load_sound_encoder
from emorec_train.model.stills_files import load_stills, read_stills_file
from emorec_train.model.text import TextEncoder
from emorec_train.model.timm_weights import TimmWeights, adopt_timm, find_timm, load_timm
from emorec_train.model.transformers_weights import PREFIX, find_transformers
from emorec_train.model.vision import VisionEncoder

STILLS: Final = "stills:"
"""Before the folder of an encoder that ``train/pictures.py`` has trained."""


def find_vision(pretrained: str, revision: str, *, offline: bool) -> ClipWeights | TimmWeights:
    """Find weights of a visual tower: of open_clip, transformers or timm, by the prefix of their name.

    Raises:
        UsageError: A name has no known form.
        WeightsError: Weights can't be had, or are of another kind of model.
    """
    if pretrained.startswith(PREFIX):
        return find_transformers(pretrained, revision, offline=offline)
    if pretrained.startswith("timm:"):
        return find_timm(pretrained, revision, offline=offline)
    return find_clip(pretrained, revision, offline=offline)


def adopt_pretrained(config: ModelConfig, *, offline: bool = False) -> ModelConfig:
    """The configuration with the architecture, preprocessing and commit of the weights that it names.

    Args:
        config: Names weights in ``vision.pretrained``, ``text.pretrained`` and ``audio.pretrained``, or in
            some of them, or none.
        offline: Use local files only.

    Raises:
        UsageError: A name has no known form.
        WeightsError: Weights can't be had, or are of another kind of model.
    """
    if config.vision.pretrained.startswith(STILLS):
        config = _adopt_stills(config)
    elif config.vision.pretrained:
        weights = find_vision(config.vision.pretrained, config.vision.revision, offline=offline)
        adopt = adopt_clip if isinstance(weights, ClipWeights) else adopt_timm
        config = adopt(config, weights)  # type: ignore[arg-type]  # each takes its own
    if config.text is not None and config.text.pretrained:
        config = adopt_text(config, _text_weights(config.text.pretrained, offline))
    if is_sound_encoder(config.audio.pretrained):
        config = adopt_sound_encoder(config)
    elif config.audio.pretrained:
        found = find_audio(config.audio.pretrained, config.audio.revision, offline=offline)
        config = adopt_audio(config, found)
    return config


def load_pretrained(
    config: ModelConfig,
    vision: VisionEncoder,
    audio: AudioEncoder,
    text: TextEncoder | None,
    *,
    offline: bool,
) -> None:
    """Fill the encoders with the weights that the configuration names.

    Raises:
        WeightsError: They can't be had, or don't fit.
    """
    own_text = config.text is not None and bool(config.text.pretrained)
    if config.vision.pretrained:
        load_vision(config.vision, vision, None if own_text else text, offline=offline)
    if config.text is not None and own_text:
        name = config.text.pretrained
        load_clip(_text_weights(name, offline), name, None, text)
    if is_sound_encoder(config.audio.pretrained):
        load_sound_encoder(config.audio.pretrained, audio)
    elif config.audio.pretrained:
        name = config.audio.pretrained
        load_audio(find_audio(name, config.audio.revision, offline=offline), name, audio)


def load_vision(
    config: VisionConfig, vision: VisionEncoder, text: TextEncoder | None, *, offline: bool
) -> None:
    """Fill the visual encoder, and the text tower that belongs to it, with the weights that are named.

    Raises:
        WeightsError: They can't be had, or don't fit.
        CheckpointError: A folder of ``train/pictures.py`` is damaged.
    """
    name = config.pretrained
    if name.startswith(STILLS):
        _load_stills(_stills_folder(name), vision, text)
        return
    weights = find_vision(name, config.revision, offline=offline)
    if isinstance(weights, ClipWeights):
        load_clip(weights, name, vision, text)
    else:
        load_timm(weights, name, vision)


def _load_stills(folder: Path, vision: VisionEncoder, text: TextEncoder | None) -> None:
    stills = load_stills(folder).model
    vision.load_state_dict(stills.vision.state_dict())
    if text is not None and stills.text_head is not None:
        text.load_state_dict(stills.text_head.text.state_dict())


def _adopt_stills(config: ModelConfig) -> ModelConfig:
    """Architecture, crops and text tower of an encoder of stills."""
    name = config.vision.pretrained
    file = read_stills_file(_stills_folder(name))
    replace = msgspec.structs.replace
    return replace(
        config,
        preprocessing=replace(config.preprocessing, vision=file.preprocessing),
        vision=replace(file.vision, pretrained=name, revision=""),
        text=None if config.text is None else file.text,
    )


def _stills_folder(name: str) -> Path:
    return Path(name.removeprefix(STILLS)).expanduser()


def _text_weights(pretrained: str, offline: bool) -> ClipWeights:
    weights = find_vision(pretrained, "", offline=offline)
    if not isinstance(weights, ClipWeights):
        raise WeightsError(pretrained, "have no text tower of CLIP's; model.text.pretrained takes CLIP's")
    return weights
