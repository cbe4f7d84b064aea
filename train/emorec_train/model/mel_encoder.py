"""A small sound encoder on log-mel spectra, made to be distilled from a large one.

Two convolutions bring 100 spectra a second to 50 tokens, blocks of a depthwise convolution and a
pointwise network follow (ConvNeXt, Liu et al. 2022, in one dimension). A token sees half a second at most,
less than a chunk's context: it doesn't depend on where chunks are cut.

Shapes: ``B`` chunks, ``N`` samples, ``F`` spectra, ``M`` mel bands, ``S`` tokens, ``D`` width.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from emorec_train.model.config import AudioConfig
from emorec_train.model.log_mel import LogMel

DILATIONS: Final = (1, 1, 2, 2)
"""Of the blocks in turn."""

BRANCH_GAIN: Final = 0.3
"""Scale of a block's last layer at the start: the sum begins close to the identity."""


class MelEncoder(nn.Module):
    """From samples to tokens.

    Args:
        config: Width, blocks, width inside a block, kernel and bands.
    """

    def __init__(self, config: AudioConfig) -> None:
        super().__init__()
        D = config.width
        self.log_mel = LogMel(config.mel_bands)
        self.input_norm = nn.BatchNorm1d(config.mel_bands)
        self.stem = nn.ModuleList(
            [
                _Stem(config.mel_bands, D, stride=1),
                _Stem(D, D, stride=2),
            ]
        )
        self.blocks = nn.ModuleList(
            _Block(D, config.intermediate, config.position_kernel, DILATIONS[k % len(DILATIONS)])
            for k in range(config.layers)
        )
        self.projection = nn.Linear(D, config.output_width)

    def forward(self, samples: Tensor) -> Tensor:
        """Map float32 ``[B, N]`` to ``[B, S, output width]``."""
        x = self.input_norm(self.log_mel(samples))
        for stem in self.stem:
            x = stem(x)
        for block in self.blocks:
            x = block(x)
        tokens: Tensor = self.projection(x.transpose(1, 2))
        return tokens


class _Stem(nn.Module):
    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(channels, width, 3, stride=stride, padding=1)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, C, F]`` to ``[B, D, F / stride]``."""
        return F.gelu(self.norm(self.conv(x)))


class _Block(nn.Module):
    """Depthwise convolution over time, then a pointwise network, beside the identity."""

    def __init__(self, width: int, inner: int, kernel: int, dilation: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(
            width, width, kernel, padding=dilation * (kernel // 2), dilation=dilation, groups=width
        )
        self.norm = nn.BatchNorm1d(width)
        self.rise = nn.Linear(width, inner)
        self.fall = nn.Linear(inner, width)
        with torch.no_grad():
            self.fall.weight.mul_(BRANCH_GAIN)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, D, S]`` to the same."""
        y = self.norm(self.conv(x)).transpose(1, 2)  # [B, S, D]
        branch: Tensor = self.fall(F.gelu(self.rise(y)))
        return x + branch.transpose(1, 2)
