"""What the fusion learns from: the loss of a batch of windows, or of a part of one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from emorec_train.features import WindowSet
from emorec_train.labels import IGNORED
from emorec_train.model.fusion import FusionModel
from emorec_train.model.imbalance import balanced_weights, class_counts, log_prior
from emorec_train.model.losses import StepLoss, TextGuidedLoss, seen_labels
from emorec_train.settings import FusionSettings, Precision

AUTOCAST: Final[dict[Precision, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss over the labelled steps, and the text-guided one on the visual representation.

    Attributes:
        fusion: Gives logits and representation.
        text: ``None`` without text guidance.
        step_loss: See ``step_loss``.
        text_weight: Of the text-guided loss.
        precision: Of the forward pass; losses are float32.
    """

    fusion: FusionModel
    text: TextGuidedLoss | None
    step_loss: StepLoss
    text_weight: float
    precision: Precision = "float32"

    def loss(self, batch: WindowSet) -> Tensor:
        """The mean over a batch."""
        classes, text = self._losses(batch)
        return classes if text is None else classes + self.text_weight * text

    def share(self, part: WindowSet, whole: WindowSet) -> Tensor:
        """What a part adds to the mean over the whole batch: the shares of all its parts sum up to it."""
        classes, text = self._losses(part)
        own, total = self._weights(part), self._weights(whole)
        loss = classes * (own[0] / max(total[0], 1e-30))
        return loss if text is None else loss + self.text_weight * text * (own[1] / max(total[1], 1e-30))

    def _losses(self, batch: WindowSet) -> tuple[Tensor, Tensor | None]:
        autocast = self.precision != "float32"
        with torch.autocast(
            batch.labels.device.type, AUTOCAST[self.precision] if autocast else None, enabled=autocast
        ):
            logits, features = self.fusion.forward_features(
                batch.frame_embeddings, batch.frame_mask, batch.audio_tokens, batch.audio_mask
            )
        classes = self.step_loss(logits.float(), batch.labels)
        if self.text is None or features is None:
            return classes, None
        return classes, self.text(features.float(), batch.frame_mask, batch.labels)

    def _weights(self, batch: WindowSet) -> tuple[float, float]:
        """What the means of both losses over this batch count."""
        seen = seen_labels(batch.frame_mask, batch.labels)
        return self.step_loss.weight(batch.labels), float((seen != IGNORED).sum())


def step_loss(settings: FusionSettings, labels: Tensor, classes: int) -> StepLoss:
    """The loss of each step that the settings ask for.

    Args:
        settings: How to train.
        labels: int64 ``[N, T]``, of the training windows: classes are counted in them.
        classes: How many there are.
    """
    counts = class_counts(labels, classes)
    balanced = settings.class_weights == "balanced"
    return StepLoss(
        settings.label_smoothing,
        balanced_weights(counts, settings.balance_beta) if balanced else None,
        settings.logit_adjustment * log_prior(counts) if settings.logit_adjustment else None,
        settings.focal_gamma,
    )
