"""Temporal convolutional network: dilated residual blocks (Bai et al. 2018, arXiv 1803.01271).

Shapes: ``B`` windows, ``T`` steps, ``D`` width.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class ResidualBlock(nn.Module):
    """Two dilated convolutions, each with ReLU and dropout, around which the input passes.

    Args:
        width: Channels ``D``.
        kernel: Steps of each convolution, odd.
        dilation: Distance between the steps that it sees.
        causal: Whether it looks back only.
        dropout: Share of values dropped while training.
    """

    def __init__(self, width: int, kernel: int, dilation: int, *, causal: bool, dropout: float) -> None:
        super().__init__()
        reach = (kernel - 1) * dilation
        self.padding = (reach, 0) if causal else (reach // 2, reach // 2)
        self.first = nn.Conv1d(width, width, kernel, dilation=dilation)
        self.second = nn.Conv1d(width, width, kernel, dilation=dilation)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, D, T]`` to ``[B, D, T]``."""
        y = self.dropout(F.relu(self.first(F.pad(x, self.padding))))
        y = self.dropout(F.relu(self.second(F.pad(y, self.padding))))
        return F.relu(x + y)


class TCN(nn.Module):
    """Residual blocks whose dilation doubles, so the receptive field grows as a power of two.

    Steps without a frame carry the caller's embedding for "missing": they are filled from their neighbours,
    never skipped, so that time stays in place.
    """

    def __init__(self, width: int, layers: int, kernel: int, *, causal: bool, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            *(ResidualBlock(width, kernel, 2**i, causal=causal, dropout=dropout) for i in range(layers))
        )
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, T, D]`` to ``[B, T, D]``."""
        y: Tensor = self.blocks(x.transpose(1, 2))
        normed: Tensor = self.norm(y.transpose(1, 2))
        return normed
