"""Model for still pictures: a visual encoder under a linear head, and compared with class texts.

Shapes: ``B`` crops, ``E`` embedding, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emorec_train.model.losses import LARGEST_SCALE
from emorec_train.model.text import TextEncoder
from emorec_train.model.vision import VisionEncoder


class StillModel(nn.Module):
    """Encoder, head and text.

    Args:
        vision: The encoder.
        text: The text tower that shares its embedding; ``None`` without text guidance.
        labels: Class names in the order of the logits.
    """

    def __init__(self, vision: VisionEncoder, text: TextEncoder | None, labels: Sequence[str]) -> None:
        super().__init__()
        self.vision = vision
        self.head = nn.Linear(vision.embed_dim, len(labels))
        self.text_head = None if text is None else TextHead(text, labels)

    def forward(self, frames: Tensor) -> tuple[Tensor, Tensor | None]:
        """Classify crops.

        Args:
            frames: ``[B, H, W, 3]``, RGB from 0 to 255, of any dtype.

        Returns:
            Logits ``[B, C]`` of the head, and those of the texts.
        """
        embeddings = self.vision(frames).float()
        with torch.autocast(frames.device.type, enabled=False):
            logits = self.head(embeddings)
            return logits, None if self.text_head is None else self.text_head(embeddings)


class TextHead(nn.Module):
    """Cosine to each class's text over CLIP's learnable temperature."""

    tokens: Tensor

    def __init__(self, text: TextEncoder, labels: Sequence[str]) -> None:
        super().__init__()
        self.text = text
        self.classes = len(labels)
        self.log_scale = nn.Parameter(torch.tensor(2.0))
        self.register_buffer("tokens", text.class_tokens(labels), persistent=False)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Map ``[B, E]`` to ``[B, C]``."""
        scale = self.log_scale.exp().clamp(max=LARGEST_SCALE)
        prototypes = self.text.mean_by_class(self.tokens, self.classes)
        return scale * F.normalize(embeddings, dim=-1) @ prototypes.T
