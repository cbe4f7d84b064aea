"""Training loss of the fusion, over a batch of windows or over a part of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor

from emorec_rt.bundle.tasks import VALENCE_AROUSAL, Tasks
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
from emorec_train.model.task_losses import TaskLoss
from emorec_train.settings.fields import FusionSettings, Precision

AUTOCAST: Final[dict[Precision, torch.dtype]] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


@dataclass(frozen=True, slots=True)
class Objective:
    """The loss over the labelled steps, the text-guided one on the visual representation, and the tasks' own.

    Attributes:
        fusion: Gives logits, representation and what the tasks are about.
        text: ``None`` without text guidance.
        step_loss: See ``step_loss``.
        text_weight: Of the text-guided loss.
        precision: Of the forward pass; losses are float32.
        tasks: Losses of the tasks beside the classes.
    """

    fusion: FusionModel
    text: TextGuidedLoss | None
    step_loss: StepLoss
    text_weight: float
    precision: Precision = "float32"
    tasks: tuple[TaskLoss, ...] = ()

    def loss(self, batch: WindowSet) -> Tensor:
        """The mean over a batch."""
        classes, *others = self._losses(batch)
        return sum((factor * loss for loss, factor in others), start=classes[0])

    def share(self, part: WindowSet, whole: WindowSet) -> Tensor:
        """Share of a part in the mean over the whole batch; the shares of all parts add up to it."""
        weights = zip(self._weights(part), self._weights(whole), strict=True)
        shares = [own / max(total, 1e-30) for own, total in weights]
        losses = zip(self._losses(part), shares, strict=True)
        return torch.stack([factor * loss * share for (loss, factor), share in losses]).sum()

    def _losses(self, batch: WindowSet) -> list[tuple[Tensor, float]]:
        """Each loss and its factor: the classes', the text-guided one where there is one, the tasks'."""
        autocast = self.precision != "float32"
        with torch.autocast(
            batch.labels.device.type, AUTOCAST[self.precision] if autocast else None, enabled=autocast
        ):
            given = self.fusion.outputs(
                batch.frame_embeddings, batch.frame_mask, batch.audio_tokens, batch.audio_mask
            )
        losses = [(self.step_loss(given.logits.float(), batch.labels, batch.targets), 1.0)]
        if self.text is not None and given.features is not None:
            guided = self.text(given.features.float(), batch.frame_mask, batch.labels)
            losses.append((guided, self.text_weight))
        return losses + [
            (task(given.tasks[task.output].float(), batch.measures), task.factor) for task in self.tasks
        ]

    def _weights(self, batch: WindowSet) -> list[float]:
        """Weights of each loss's mean over this batch, against means over other batches."""
        weights = [self.step_loss.weight(batch.labels)]
        if self.text is not None and self.fusion.mode != "audio":
            weights.append(float((seen_labels(batch.frame_mask, batch.labels) != IGNORED).sum()))
        return [*weights, *(task.weight(batch.measures) for task in self.tasks)]


def task_losses(tasks: Tasks, settings: FusionSettings) -> tuple[TaskLoss, ...]:
    """Losses of the tasks beside the classes."""
    columns: dict[str, tuple[str, ...]] = {
        "valence_arousal": VALENCE_AROUSAL,
        "action_units": tasks.action_units,
    }
    factors = {
        "valence_arousal": settings.valence_arousal_weight,
        "action_units": settings.action_units_weight,
    }
    return tuple(TaskLoss(name, columns[name], factors[name]) for name in tasks.outputs)


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
