"""Whisper's encoder on chunks of any length, with its log-mel spectra inside the graph.

Shapes: ``B`` chunks, ``N`` samples, ``S`` tokens of a chunk, ``Da`` width of a token.
"""

from __future__ import annotations

from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import WhisperConfig
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from emorec_rt.bundle.manifest import Audio
from emorec_train.model.config import AudioConfig
from emorec_train.model.log_mel import WINDOW_SAMPLES, LogMel

DYNAMIC_RANGE: Final = 8.0
"""Decades below a chunk's loudest band that are kept, as in Whisper."""


class Whisper(nn.Module):
    """transformers' ``WhisperEncoder`` over ``spec.chunk_tokens`` positions.

    Published encoders take 30 s (1,500 tokens) and pad what is shorter. A shorter chunk takes the first
    positions, and attends to sound alone.

    Args:
        config: The architecture.
        spec: Sets the chunk's length.
    """

    def __init__(self, config: AudioConfig, spec: Audio) -> None:
        super().__init__()
        self._samples = spec.chunk_tokens * spec.token_hop_samples
        self.log_mel = LogMel(config.mel_bands)
        self.encoder = WhisperEncoder(whisper_config(config, spec))

    def forward(self, samples: Tensor) -> Tensor:
        """Map float32 ``[B, N]`` to ``[B, S, Da]``."""
        # A chunk is 80 samples longer than its tokens' hops; padding is the feature extractor's.
        used = samples[:, -self._samples :]
        half = WINDOW_SAMPLES // 2
        mel = self.log_mel(F.pad(used[:, None], (half, half), mode="reflect")[:, 0])[:, :, :-1]
        mel = torch.maximum(mel, mel.amax(dim=(1, 2), keepdim=True) - DYNAMIC_RANGE)
        tokens: Tensor = self.encoder((mel + 4.0) / 4.0).last_hidden_state
        return tokens


def whisper_config(config: AudioConfig, spec: Audio) -> WhisperConfig:
    """The same architecture in transformers' words."""
    architecture: dict[str, Any] = {
        **config.extra,
        "attn_implementation": "eager",
    }
    return WhisperConfig(
        d_model=config.width,
        encoder_layers=config.layers,
        encoder_attention_heads=config.heads,
        encoder_ffn_dim=config.intermediate,
        num_mel_bins=config.mel_bands,
        max_source_positions=spec.chunk_tokens,
        dropout=config.dropout,
        attention_dropout=config.dropout,
        **architecture,
    )
