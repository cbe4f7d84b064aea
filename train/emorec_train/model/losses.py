"""Training losses: cross-entropy over the labelled steps, and the text-guided contrastive loss.

Shapes: ``B`` windows, ``T`` steps, ``C`` classes, ``D`` fusion width, ``E`` CLIP's embedding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emorec_train.data.labels import IGNORED

LARGEST_SCALE: Final = 100.0
"""Upper bound of the inverse temperature, as in CLIP."""


@dataclass(frozen=True, slots=True)
class StepLoss:
    """Cross-entropy over the labelled steps, and what helps against imbalance; by default plain.

    Attributes:
        label_smoothing: Share of the target spread over all classes.
        class_weights: ``[C]``, see ``imbalance.balanced_weights``; the mean is weighted with them.
        offsets: ``[C]``, added to the logits while training: the log prior, scaled (logit adjustment, Menon
            et al. 2021, arXiv 2007.07314, eq. 10). Without them afterwards, rare classes get their share.
        gamma: Steps that are right already count less by ``(1 - p) ** gamma`` (focal loss, Lin et al. 2017,
            arXiv 1708.02002, eq. 4); 0 is cross-entropy.
    """

    label_smoothing: float = 0.0
    class_weights: Tensor | None = None
    offsets: Tensor | None = None
    gamma: float = 0.0

    def __call__(self, logits: Tensor, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """Mean over the labelled steps; 0 when there is none.

        Args:
            logits: ``[..., C]``.
            labels: int64 ``[...]``, ``IGNORED`` where there is no label.
            targets: ``[..., C]``, shares of the classes, in the labels' place where these count.
        """
        valid = labels != IGNORED
        if not bool(valid.any()):
            return logits.sum() * 0.0
        kept, own = logits[valid], labels[valid]
        if self.offsets is not None:
            kept = kept + self.offsets.to(kept.device)
        weights = None if self.class_weights is None else self.class_weights.to(kept.device)
        if targets is not None:
            return F.cross_entropy(kept, targets[valid], weights, label_smoothing=self.label_smoothing)
        if not self.gamma:
            return F.cross_entropy(kept, own, weights, label_smoothing=self.label_smoothing)
        return self._focal(kept, own, weights)

    def weight(self, labels: Tensor) -> float:
        """Weight of the mean over ``labels`` against means over other parts of a batch."""
        valid = labels[labels != IGNORED].cpu()
        return float(len(valid)) if self.class_weights is None else float(self.class_weights[valid].sum())

    def _focal(self, logits: Tensor, labels: Tensor, weights: Tensor | None) -> Tensor:
        losses = F.cross_entropy(
            logits, labels, weights, reduction="none", label_smoothing=self.label_smoothing
        )
        own = logits.softmax(dim=-1).gather(-1, labels[:, None])[:, 0]
        total = len(labels) if weights is None else weights[labels].sum()
        return ((1.0 - own) ** self.gamma * losses).sum() / total


class TextGuidedLoss(nn.Module):
    """Contrast of the visual representation with every class's text prototype.

    It stands behind the TCN and a projection of its own: on the frozen CLIP feature it would train nothing.
    InfoNCE with the prototypes as keys, the step's own class being the positive one.

    Args:
        width: Width ``D`` of the representation.
        prototypes: ``[C, E]``, unit length, frozen.
        temperature: Where the learnable temperature starts; 0.07 is CLIP's.
    """

    prototypes: Tensor

    def __init__(self, width: int, prototypes: Tensor, temperature: float = 0.07) -> None:
        super().__init__()
        self.projection = nn.Linear(width, prototypes.shape[1])
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))
        self.register_buffer("prototypes", prototypes.detach().clone(), persistent=False)

    def forward(self, features: Tensor, frame_mask: Tensor, labels: Tensor) -> Tensor:
        """Mean over the labelled steps where a face was seen.

        Args:
            features: ``[B, T, D]``, from ``FusionModel.outputs``.
            frame_mask: ``[B, T]``.
            labels: int64 ``[B, T]``, ``IGNORED`` where there is no label.
        """
        return StepLoss()(self.similarities(features), seen_labels(frame_mask, labels))

    def similarities(self, features: Tensor) -> Tensor:
        """Cosine to each prototype over the temperature, ``[B, T, C]``."""
        embeddings = F.normalize(self.projection(features), dim=-1)
        scale = self.log_scale.exp().clamp(max=LARGEST_SCALE)
        return scale * embeddings @ self.prototypes.T


def seen_labels(frame_mask: Tensor, labels: Tensor) -> Tensor:
    """Labels ``[B, T]``, ``IGNORED`` where no face was seen."""
    return torch.where(frame_mask > 0, labels, IGNORED)
