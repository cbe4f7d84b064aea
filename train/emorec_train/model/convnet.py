"""A plain convolutional tower (VGG, Simonyan & Zisserman 2015), for small crops and small machines.

Shapes: ``B`` frames, ``H = W`` crop side, ``E`` embedding.

It has no skip paths: on CPUs a chain of convolutions and ReLUs runs faster than a residual network of as many
products, and it quantises to INT8 as a whole. Batch norms fold into the convolutions when it is exported.
"""

from __future__ import annotations

from torch import Tensor, nn

from emorec_train.model.config import ConvConfig


class ConvTower(nn.Module):
    """Normalised pixels ``[B, 3, H, W]`` to embeddings ``[B, E]``.

    Args:
        config: Stages.
        embed_dim: Width ``E`` of the embedding.
    """

    def __init__(self, config: ConvConfig, embed_dim: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        width = 3
        for stage, (channels, depth) in enumerate(zip(config.channels, config.depths, strict=True)):
            if stage:
                layers.append(nn.MaxPool2d(2))
            for index in range(depth):
                first = stage == index == 0
                layers += _convolution(width, channels, config.stem_stride if first else 1)
                width = channels
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(config.dropout)
        self.projection = nn.Linear(width, embed_dim)

    def forward(self, pixels: Tensor) -> Tensor:
        """Encode pixels; the last stage is averaged over its positions."""
        pooled = self.features(pixels).mean(dim=(2, 3))  # [B, channels of the last stage]
        embeddings: Tensor = self.projection(self.dropout(pooled))
        return embeddings


def _convolution(width: int, channels: int, stride: int) -> list[nn.Module]:
    return [
        nn.Conv2d(width, channels, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
    ]
