"""Rare classes: weights by their effective number, and the prior that logits are adjusted by.

Shapes: ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import torch
from torch import Tensor

from emorec_train.data.labels import IGNORED

FLAT_SPREAD: Final = 0.03
"""Weights that differ by less than this, relative to the smallest, change nothing."""


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """Count of each class, int64 ``[C]``; steps without a label don't count."""
    return torch.bincount(labels[labels != IGNORED].flatten(), minlength=classes)


def clip_counts(labels: Iterable[Tensor], classes: int) -> Tensor:
    """Number of clips in which each class occurs, int64 ``[C]``; ``labels`` has a tensor for each clip."""
    counts = torch.zeros(classes, dtype=torch.int64)
    for own in labels:
        counts += class_counts(own, classes) > 0
    return counts


def balanced_weights(counts: Tensor, beta: float | None = None) -> Tensor:
    """Weights by the effective number of samples (Cui et al. 2019, arXiv 1901.05555, eq. 2 and section 3.3).

    Samples are clips: the thousands of steps of one clip are nearly the same sample, and with their number
    ``beta ** n`` is 0 for every class.

    Args:
        counts: int64 ``[C]``, clips of each class.
        beta: 0 weighs all classes alike, towards 1 by the inverse of their frequency. ``None`` takes
            ``(N - 1) / N`` for ``N`` samples in all, the paper's relation between both.

    Returns:
        float32 ``[C]`` with mean 1 over the classes that occur; 0 for those that don't.
    """
    if beta is None:
        total = int(counts.sum())
        beta = (total - 1) / total if total else 0.0
    number = (1.0 - beta ** counts.double()) / (1.0 - beta)
    weights = torch.where(counts > 0, 1.0 / number.clamp(min=1.0), 0.0)
    return (weights * (counts > 0).sum() / weights.sum()).float()


def spread(weights: Tensor) -> float:
    """Largest weight over the smallest one of the classes that occur, minus 1."""
    present = weights[weights > 0]
    return float(present.max() / present.min()) - 1.0 if len(present) else 0.0


def log_prior(counts: Tensor) -> Tensor:
    """Logarithm of each class's share, float32 ``[C]``; a class that doesn't occur is taken to occur once."""
    seen = counts.clamp(min=1).double()
    return (seen / seen.sum()).log().float()
