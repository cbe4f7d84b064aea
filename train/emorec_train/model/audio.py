"""Sound to tokens: wav2vec 2.0, or one of its kin, with its normalisation in front.

Shapes: ``B`` chunks, ``N`` samples, ``S`` tokens of a chunk, ``Da`` width of a token.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import (
    HubertConfig,
    HubertModel,
    PretrainedConfig,
    PreTrainedModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from emorec_rt.manifest import Audio
from emorec_train.model.config import AudioConfig, AudioKind

CLASSES: Final[dict[AudioKind, tuple[type[PretrainedConfig], type[PreTrainedModel]]]] = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
}

VARIANCE_FLOOR = 1e-7
"""Added to a chunk's variance, as in transformers' ``Wav2Vec2FeatureExtractor``."""


class AudioEncoder(nn.Module):
    """The last hidden state of transformers' model of ``config.kind``, on chunks of fixed length.

    Args:
        config: The encoder's architecture.
        spec: Says whether chunks are brought to zero mean and unit variance.
    """

    def __init__(self, config: AudioConfig, spec: Audio) -> None:
        super().__init__()
        self.normalize = spec.normalize
        self.wav2vec2: nn.Module = CLASSES[config.kind][1](wav2vec2_config(config))

    def forward(self, samples: Tensor) -> Tensor:
        """Encode chunks.

        Args:
            samples: float32 ``[B, N]``, 16 kHz mono in [-1, 1].

        Returns:
            float32 ``[B, S, Da]``.
        """
        if self.normalize:
            centred = samples - samples.mean(dim=1, keepdim=True)
            samples = centred * torch.rsqrt((centred * centred).mean(dim=1, keepdim=True) + VARIANCE_FLOOR)
        tokens: Tensor = self.wav2vec2(samples).last_hidden_state
        return tokens


def wav2vec2_config(config: AudioConfig) -> PretrainedConfig:
    """The same architecture in transformers' words, without the masking of its pre-training."""
    architecture: dict[str, Any] = {
        "hidden_size": config.width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "intermediate_size": config.intermediate,
        "conv_dim": config.conv_channels,
        "conv_kernel": config.conv_kernels,
        "conv_stride": config.conv_strides,
        "conv_bias": config.conv_bias,
        "num_feat_extract_layers": len(config.conv_channels),
        "feat_extract_norm": config.conv_norm,
        "do_stable_layer_norm": config.stable_layer_norm,
        "num_conv_pos_embeddings": config.position_kernel,
        "num_conv_pos_embedding_groups": config.position_groups,
        "hidden_dropout": config.dropout,
        "attention_dropout": config.dropout,
        "activation_dropout": 0.0,
        "feat_proj_dropout": 0.0,
        "layerdrop": 0.0,
        "apply_spec_augment": False,
        "attn_implementation": "eager",
        **config.extra,
    }
    return CLASSES[config.kind][0](**architecture)
