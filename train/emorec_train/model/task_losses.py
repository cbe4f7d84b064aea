"""Losses of the tasks beside the classes, over the labels that are there.

Shapes: ``B`` windows, ``T`` steps, ``K`` columns of a task, ``M`` measures of an annotation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import torch
import torch.nn.functional as F
from torch import Tensor

from emorec_rt.bundle.tasks import MEASURES

LEAST_SPREAD: Final = 1e-6
"""Added to the concordance's denominator: labels that don't vary, met exactly, have none."""

FEWEST_STEPS: Final = 2
"""Of fewer labelled steps a concordance says nothing."""


@dataclass(frozen=True, slots=True)
class TaskLoss:
    """Loss of one task; a label that is missing adds nothing.

    Attributes:
        output: Name of the fusion's output.
        columns: Names of its columns, among ``MEASURES``.
        factor: Weight beside cross-entropy.
    """

    output: str
    columns: tuple[str, ...]
    factor: float = 1.0

    def __call__(self, predicted: Tensor, measures: Tensor | None) -> Tensor:
        """The loss over the labelled steps; 0 when there is none.

        Args:
            predicted: ``[B, T, K]``, of the fusion.
            measures: ``[B, T, M]``, NaN where one is missing; ``None`` where all are.
        """
        truth = self.truth(measures)
        if truth is None:
            return predicted.sum() * 0.0
        loss = concordance_loss if self.output == "valence_arousal" else presence_loss
        return loss(predicted.flatten(0, -2), truth.flatten(0, -2))

    def weight(self, measures: Tensor | None) -> float:
        """Number of labels: the weight of this loss against those of other parts of a batch."""
        truth = self.truth(measures)
        return 0.0 if truth is None else float((~truth.isnan()).sum())

    def truth(self, measures: Tensor | None) -> Tensor | None:
        """The task's own columns, ``[B, T, K]``."""
        return None if measures is None else measures[..., [MEASURES.index(name) for name in self.columns]]


def concordance(predicted: Tensor, truth: Tensor) -> Tensor:
    """Lin's concordance correlation coefficient (1989) of ``[N]`` with ``[N]``: 1 where they are equal.

    Unlike Pearson's, it falls with a shift and with another scale.
    """
    shift = predicted.mean() - truth.mean()
    covariance = ((predicted - predicted.mean()) * (truth - truth.mean())).mean()
    spread = predicted.var(correction=0) + truth.var(correction=0) + shift.square()
    return 2.0 * covariance / (spread + LEAST_SPREAD)


def concordance_loss(predicted: Tensor, truth: Tensor) -> Tensor:
    """Mean of 1 - CCC over the columns of ``[N, K]`` that have labels, each over its labelled steps.

    Over a part of a batch it is that part's own: several processes add up means of such, not the batch's.
    """
    losses = []
    for own, expected in zip(predicted.unbind(-1), truth.unbind(-1), strict=True):
        labelled = ~expected.isnan()
        if int(labelled.sum()) >= FEWEST_STEPS:
            losses.append(1.0 - concordance(own[labelled], expected[labelled]))
    return torch.stack(losses).mean() if losses else predicted.sum() * 0.0


def presence_loss(logits: Tensor, truth: Tensor) -> Tensor:
    """Binary cross-entropy of ``[N, K]``, the mean over the labels that are there."""
    labelled = ~truth.isnan()
    if not bool(labelled.any()):
        return logits.sum() * 0.0
    return F.binary_cross_entropy_with_logits(logits[labelled], truth[labelled])
