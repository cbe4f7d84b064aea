"""Training loss of the fusion, over a batch of windows or over a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from emorec_train.data.labels import IGNORED
from emorec_train.features.windows import WindowSet, WindowTable
from emorec_train.model.fusion import FusionModel
from emorec_train.model.imbalance import (
    FLAT_SPREAD,
    balanced_weights,
    class_counts,
    clip_counts,
    log_prior,
    spread,
)
from emorec_train.model.losses import StepLoss, TextGuidedLoss, seen_labels
from emorec_train.settings.fields import FusionSettings, Precision

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
        """Share of a part in the mean over the whole batch; the shares of all parts add up to it."""
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
        classes = self.step_loss(logits.float(), batch.labels, batch.targets)
        if self.text is None or features is None:
            return classes, None
        return classes, self.text(features.float(), batch.frame_mask, batch.labels)

    def _weights(self, batch: WindowSet) -> tuple[float, float]:
        """Weights of both losses' means over this batch, against means over other batches."""
        seen = seen_labels(batch.frame_mask, batch.labels)
        return self.step_loss.weight(batch.labels), float((seen != IGNORED).sum())


def step_loss(settings: FusionSettings, windows: WindowTable, classes: int) -> StepLoss:
    """The loss of each step that the settings ask for.

    Args:
        settings: How to train.
        windows: The training windows: the prior counts their steps, ``balanced`` their clips.
        classes: Number of classes.
    """
    prior = log_prior(class_counts(windows.labels, classes))
    return StepLoss(
        settings.label_smoothing,
        class_weights(settings, windows, classes),
        settings.logit_adjustment * prior if settings.logit_adjustment else None,
        settings.focal_gamma,
    )


def class_weights(settings: FusionSettings, windows: WindowTable, classes: int) -> Tensor | None:
    """Weights float32 ``[C]`` of the classes; ``None`` where all count alike."""
    if settings.class_weights == "equal":
        return None
    return balanced_weights(clip_counts(windows.clip_labels(), classes), settings.balance_beta)


def flat_weights_note(settings: FusionSettings, windows: WindowTable, labels: Sequence[str]) -> str:
    """Line that says why ``balanced`` changes nothing; empty where it does, or isn't asked for."""
    weights = class_weights(settings, windows, len(labels))
    if weights is None or spread(weights) >= FLAT_SPREAD:
        return ""
    counts = clip_counts(windows.clip_labels(), len(labels)).tolist()
    listed = ", ".join(f"{name} {count}" for name, count in zip(labels, counts, strict=True))
    return (
        f"note: class_weights = balanced changes nothing, its weights differ by {spread(weights):.1%}:"
        f" balance_beta is small, or the classes occur in as many clips ({listed})"
    )
