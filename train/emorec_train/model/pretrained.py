"""Published weights into the encoders of a new model: the only place that may download something."""

from __future__ import annotations

import open_clip
from torch import nn
from transformers import Wav2Vec2Model

from emorec_rt.errors import UsageError
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.config import AudioConfig, VisionConfig
from emorec_train.model.text import TextEncoder
from emorec_train.model.vision import VisionEncoder

_TEXT_PARTS = ("transformer.", "token_embedding.", "positional_embedding", "ln_final.", "text_projection")


def load_clip(config: VisionConfig, vision: VisionEncoder, text: TextEncoder | None) -> None:
    """Fill the towers with open_clip's weights for ``config.pretrained``, a ``model:tag``.

    Raises:
        UsageError: No such model or tag, or another architecture than the configuration's.
    """
    name, _, tag = config.pretrained.partition(":")
    if (name, tag) not in open_clip.list_pretrained():
        raise UsageError(f"open_clip knows no weights {config.pretrained!r}; give model:tag")
    clip = open_clip.create_model(name, pretrained=tag, force_quick_gelu=config.quick_gelu)
    _fill(vision.visual, clip.visual, config.pretrained)
    if text is not None:
        state = {key: value for key, value in clip.state_dict().items() if key.startswith(_TEXT_PARTS)}
        _load(text.tower, state, config.pretrained)


def load_wav2vec2(config: AudioConfig, audio: AudioEncoder) -> None:
    """Fill the encoder with transformers' weights for ``config.pretrained``, an id or a folder.

    Raises:
        UsageError: It can't be loaded, or has another architecture than the configuration's.
    """
    try:
        published = Wav2Vec2Model.from_pretrained(config.pretrained)
    except (OSError, ValueError) as error:
        raise UsageError(f"wav2vec 2.0 weights {config.pretrained}: {error}") from error
    _fill(audio.wav2vec2, published, config.pretrained)


def _fill(module: nn.Module, published: nn.Module, name: str) -> None:
    own = module.state_dict()
    _load(module, {key: value for key, value in published.state_dict().items() if key in own}, name)


def _load(module: nn.Module, state: dict[str, object], name: str) -> None:
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise UsageError(f"weights {name} don't fit the configured architecture: {error}") from error
