"""What training minimises: cross-entropy over the labelled steps, and the pull towards the class texts.

Shapes: ``B`` windows, ``T`` steps, ``C`` classes, ``D`` fusion width, ``E`` CLIP's embedding.
"""

from __future__ import annotations

import math
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emorec_train.labels import IGNORED

LARGEST_SCALE: Final = 100.0
"""Upper bound of the inverse temperature, as in CLIP."""


def step_cross_entropy(
    logits: Tensor, labels: Tensor, *, class_weights: Tensor | None = None, label_smoothing: float = 0.0
) -> Tensor:
    """Mean cross-entropy over the labelled steps; 0 when there is none.

    Args:
        logits: ``[..., C]``.
        labels: int64 ``[...]``, ``IGNORED`` where there is no label.
        class_weights: ``[C]``, against imbalance.
        label_smoothing: Share of the target spread over all classes.
    """
    valid = labels != IGNORED
    if not bool(valid.any()):
        return logits.sum() * 0.0
    return F.cross_entropy(
        logits[valid], labels[valid], weight=class_weights, label_smoothing=label_smoothing
    )


class StepLoss:
    """Cross-entropy over the labelled steps, and what can be done against imbalance.

    Args:
        counts: ``[C]``, training steps of each class; needed where weights or adjustment are asked for.
        label_smoothing: Share of the target spread over all classes.
        effective_beta: Weighs the classes by ``effective_number_weights``; ``None`` weighs all alike.
        focal_gamma: Each step counts ``(1 - p) ** gamma``, ``p`` being its own class's probability.
        logit_adjustment: Factor on ``log_priors``, which are added to the logits.
    """

    def __init__(
        self,
        counts: Tensor | None = None,
        *,
        label_smoothing: float = 0.0,
        effective_beta: float | None = None,
        focal_gamma: float = 0.0,
        logit_adjustment: float = 0.0,
    ) -> None:
        self._smoothing, self._gamma = label_smoothing, focal_gamma
        self._weights = self._offsets = None
        if counts is not None and effective_beta is not None:
            self._weights = effective_number_weights(counts, effective_beta)
        if counts is not None and logit_adjustment:
            self._offsets = logit_adjustment * log_priors(counts)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Weighted mean over the labelled steps of logits ``[..., C]``; 0 where no step has a label."""
        if self._offsets is not None:
            logits = logits + self._offsets.to(logits)
        weights = None if self._weights is None else self._weights.to(logits)
        if not self._gamma:
            return step_cross_entropy(logits, labels, class_weights=weights, label_smoothing=self._smoothing)
        return focal_loss(logits, labels, self._gamma, class_weights=weights, label_smoothing=self._smoothing)

    def weight(self, labels: Tensor) -> float:
        """What the mean over these labels counts beside means over others."""
        valid = labels[labels != IGNORED]
        return float(len(valid)) if self._weights is None else float(self._weights[valid.cpu()].sum())


def focal_loss(
    logits: Tensor,
    labels: Tensor,
    gamma: float,
    *,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    """Focal loss (Lin et al., ICCV 2017), a weighted mean over the labelled steps; 0 when there is none."""
    valid = labels != IGNORED
    if not bool(valid.any()):
        return logits.sum() * 0.0
    logits, labels = logits[valid], labels[valid]
    each = F.cross_entropy(
        logits, labels, weight=class_weights, label_smoothing=label_smoothing, reduction="none"
    )
    p = logits.softmax(dim=-1).gather(-1, labels[:, None])[:, 0]
    total = len(labels) if class_weights is None else class_weights[labels].sum()
    return ((1.0 - p) ** gamma * each).sum() / total


def effective_number_weights(counts: Tensor, beta: float) -> Tensor:
    """Class-balanced weights (Cui et al., CVPR 2019), float32 ``[C]``, mean 1 over the classes there are.

    A class of ``n`` samples weighs ``(1 - beta) / (1 - beta ** n)``; one without samples weighs 0.
    """
    n = counts.double()
    weights = torch.where(n > 0, (1.0 - beta) / (1.0 - beta ** n.clamp(min=1.0)), 0.0)
    return (weights * (n > 0).sum() / weights.sum().clamp(min=1e-300)).float()


def log_priors(counts: Tensor) -> Tensor:
    """Logarithms of class shares, float32 ``[C]`` (Menon et al., ICLR 2021); no class has less than one."""
    n = counts.double().clamp(min=1.0)
    return (n / n.sum()).log().float()


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
            features: ``[B, T, D]``, from ``FusionModel.forward_features``.
            frame_mask: ``[B, T]``.
            labels: int64 ``[B, T]``, ``IGNORED`` where there is no label.
        """
        return step_cross_entropy(self.similarities(features), seen_labels(frame_mask, labels))

    def similarities(self, features: Tensor) -> Tensor:
        """Cosine to each prototype over the temperature, ``[B, T, C]``."""
        embeddings = F.normalize(self.projection(features), dim=-1)
        scale = self.log_scale.exp().clamp(max=LARGEST_SCALE)
        return scale * embeddings @ self.prototypes.T


def seen_labels(frame_mask: Tensor, labels: Tensor) -> Tensor:
    """Labels ``[B, T]``, ``IGNORED`` where no face was seen."""
    return torch.where(frame_mask > 0, labels, IGNORED)
