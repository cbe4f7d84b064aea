"""Published weights into the encoders of a new model: the only place that may download something."""

from __future__ import annotations

from emorec_train.model.audio import AudioEncoder
from emorec_train.model.audio_weights import adopt_audio, find_audio, load_audio
from emorec_train.model.clip_files import find_clip
from emorec_train.model.clip_weights import adopt_clip, load_clip
from emorec_train.model.config import ModelConfig
from emorec_train.model.text import TextEncoder
from emorec_train.model.vision import VisionEncoder


def adopt_pretrained(config: ModelConfig, *, offline: bool = False) -> ModelConfig:
    """The configuration with the architecture, preprocessing and commit of the weights that it names.

    Args:
        config: Names weights in ``vision.pretrained`` and ``audio.pretrained``, or in one of them, or none.
        offline: Don't touch the network.

    Raises:
        UsageError: A name has no known form.
        WeightsError: Weights can't be had, or are of another kind of model.
    """
    if config.vision.pretrained:
        weights = find_clip(config.vision.pretrained, config.vision.revision, offline=offline)
        config = adopt_clip(config, weights)
    if config.audio.pretrained:
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
    if config.vision.pretrained:
        name = config.vision.pretrained
        load_clip(find_clip(name, config.vision.revision, offline=offline), name, vision, text)
    if config.audio.pretrained:
        name = config.audio.pretrained
        load_audio(find_audio(name, config.audio.revision, offline=offline), name, audio)
