"""Frames to embeddings: CLIP's visual tower with its normalisation in front.

Shapes: ``B`` frames, ``H = W`` crop side, ``Dv`` width of the embedding.
"""

from __future__ import annotations

import torch
from open_clip.model import CLIPVisionCfg, _build_vision_tower
from torch import Tensor, nn

from emorec_rt.manifest import Vision
from emorec_train.model.config import RESNET_POOL_RATIO, VisionConfig


class VisionEncoder(nn.Module):
    """open_clip's ``VisionTransformer`` or ``ModifiedResNet`` on uint8 crops.

    Args:
        config: The tower's architecture.
        spec: The preprocessing's mean and standard deviation.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, config: VisionConfig, spec: Vision) -> None:
        super().__init__()
        self.embed_dim = config.embed_dim
        std = torch.tensor(spec.std)
        self.register_buffer("scale", 1.0 / (255.0 * std), persistent=False)
        self.register_buffer("shift", -torch.tensor(spec.mean) / std, persistent=False)
        self.visual: nn.Module = _build_vision_tower(
            config.embed_dim, vision_tower_config(config), quick_gelu=config.quick_gelu
        )

    def forward(self, frames: Tensor) -> Tensor:
        """Encode crops.

        Args:
            frames: uint8 ``[B, H, W, 3]``, RGB.

        Returns:
            float32 ``[B, Dv]``, CLIP's image embedding, not normalised.
        """
        pixels = frames.float() * self.scale + self.shift
        embeddings: Tensor = self.visual(pixels.permute(0, 3, 1, 2))
        return embeddings


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
