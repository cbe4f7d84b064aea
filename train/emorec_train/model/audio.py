"""Sound to tokens: wav2vec 2.0 or one of its kin, Whisper's encoder, or a small one; normalisation in front.

Shapes: ``B`` chunks, ``N`` samples, ``S`` tokens of a chunk, ``Da`` width of a token.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from transformers import (
    Data2VecAudioConfig,
    Data2VecAudioModel,
    HubertConfig,
    HubertModel,
    PretrainedConfig,
    PreTrainedModel,
    UniSpeechConfig,
    UniSpeechModel,
    UniSpeechSatConfig,
    UniSpeechSatModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
    WavLMConfig,
    WavLMModel,
)

from emorec_rt.bundle.manifest import Audio
from emorec_train.model.config import AudioConfig, AudioKind
from emorec_train.model.mel_encoder import MelEncoder
from emorec_train.model.whisper import Whisper

CLASSES: Final[dict[AudioKind, tuple[type[PretrainedConfig], type[PreTrainedModel]]]] = {
    "wav2vec2": (Wav2Vec2Config, Wav2Vec2Model),
    "hubert": (HubertConfig, HubertModel),
    "wavlm": (WavLMConfig, WavLMModel),
    "unispeech": (UniSpeechConfig, UniSpeechModel),
    "unispeech-sat": (UniSpeechSatConfig, UniSpeechSatModel),
    "data2vec-audio": (Data2VecAudioConfig, Data2VecAudioModel),
}

VARIANCE_FLOOR = 1e-7
"""Added to a chunk's variance, as in transformers' ``Wav2Vec2FeatureExtractor``."""


class AudioEncoder(nn.Module):
    """The last hidden state of a model of ``config.kind``, on chunks of fixed length.

    Args:
        config: The encoder's architecture.
        spec: Says whether chunks are brought to zero mean and unit variance, over samples that aren't
            exactly 0: padding, gaps and digital silence don't count, and stay 0.
    """

    def __init__(self, config: AudioConfig, spec: Audio) -> None:
        super().__init__()
        self.normalize = spec.normalize
        if config.kind == "mel":
            self.mel = MelEncoder(config)
        elif config.kind == "whisper":
            self.whisper = Whisper(config, spec)
        else:
            self.wav2vec2: nn.Module = CLASSES[config.kind][1](wav2vec2_config(config))

    @property
    def encoder(self) -> nn.Module:
        """Layers that map samples to tokens, after the normalisation."""
        return next(self.children())

    def forward(self, samples: Tensor) -> Tensor:
        """Encode chunks.

        Args:
            samples: float32 ``[B, N]``, 16 kHz mono in [-1, 1].

        Returns:
            float32 ``[B, S, Da]``.
        """
        if self.normalize:
            samples = normalize_real(samples)
        output = self.encoder(samples)
        tokens: Tensor = output if isinstance(output, Tensor) else output.last_hidden_state
        return tokens


def normalize_real(samples: Tensor) -> Tensor:
    """Bring the samples that aren't 0 to zero mean and unit variance, float32 ``[B, N]`` to the same.

    transformers' ``Wav2Vec2FeatureExtractor`` does so too where it is told what is padding.
    """
    real = (samples != 0.0).to(samples.dtype)
    count = real.sum(dim=1, keepdim=True).clamp(min=1.0)
    centred = (samples - samples.sum(dim=1, keepdim=True) / count) * real
    variance = (centred * centred).sum(dim=1, keepdim=True) / count
    return centred * torch.rsqrt(variance + VARIANCE_FLOOR)


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
