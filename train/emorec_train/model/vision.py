"""Frames to embeddings: a visual tower, CLIP's or a plain one, with its normalisation in front.

Shapes: ``B`` frames, ``H = W`` crop side, ``Dv`` width of the embedding.
"""

from __future__ import annotations

from typing import Final

import timm
import torch
import torch.nn.functional as F
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from torch import Tensor, nn

from emorec_rt.bundle.manifest import Vision
from emorec_train.model.config import RESNET_POOL_RATIO, TimmConfig, VisionConfig
from emorec_train.model.convnet import ConvTower

CLIP_SCALE: Final = 100.0
"""Factor on cosines that makes logits of them: CLIP's own, at which its training arrives."""


class VisionEncoder(nn.Module):
    """open_clip's ``VisionTransformer`` or ``ModifiedResNet``, a tower of timm, or a ``ConvTower``, on crops.

    Args:
        config: The tower's architecture.
        spec: The preprocessing's mean and standard deviation.
    """

    scale: Tensor
    shift: Tensor
    prototypes: Tensor | None

    def __init__(self, config: VisionConfig, spec: Vision) -> None:
        super().__init__()
        self.embed_dim = config.embed_dim
        std = torch.tensor(spec.std)
        self.register_buffer("scale", 1.0 / (255.0 * std), persistent=False)
        self.register_buffer("shift", -torch.tensor(spec.mean) / std, persistent=False)
        self.visual = _tower(config)
        texts = torch.zeros(config.prototypes, config.embed_dim) if config.prototypes else None
        self.register_buffer("prototypes", texts)

    def forward(self, frames: Tensor) -> Tensor:
        """Encode crops.

        Args:
            frames: uint8 ``[B, H, W, 3]``, RGB.

        Returns:
            float32 ``[B, Dv]``, the tower's embedding, not normalised; with prototypes its similarity to each
            of them, ``[B, C]``.
        """
        embeddings: Tensor = self.visual(self.normalised(frames))
        if self.prototypes is None:
            return embeddings
        return CLIP_SCALE * F.normalize(embeddings, dim=-1) @ self.prototypes.T

    def normalised(self, frames: Tensor) -> Tensor:
        """Centre and scale pixels ``[B, H, W, 3]``, to ``[B, 3, H, W]``."""
        pixels = frames.float() * self.scale + self.shift
        return pixels.permute(0, 3, 1, 2)


def _tower(config: VisionConfig) -> nn.Module:
    if config.conv is not None:
        return ConvTower(config.conv, config.embed_dim)
    if config.timm is not None:
        return timm_tower(config.timm)
    tower: nn.Module = _build_vision_tower(
        config.embed_dim, vision_tower_config(config), quick_gelu=config.quick_gelu
    )
    return tower


def timm_tower(config: TimmConfig) -> nn.Module:
    """A tower of timm, pooled as its classifier expects, without the classifier."""
    tower: nn.Module = timm.create_model(config.name, num_classes=0, **config.options)
    return tower


def vision_tower_config(config: VisionConfig) -> CLIPVisionCfg:
    """The same architecture in open_clip's words."""
    pooled = config.width * RESNET_POOL_RATIO if isinstance(config.layers, tuple) else config.width
    return CLIPVisionCfg(
        image_size=config.image_size,
        patch_size=config.patch_size,
        width=config.width,
        layers=config.layers,
        head_width=pooled // config.heads,
        mlp_ratio=config.mlp_ratio,
        **config.extra,
    )
