"""Classes that are rare: weights by their effective number, and the prior that logits are adjusted by.

Shapes: ``C`` classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from emorec_train.labels import IGNORED


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """How often each class occurs, int64 ``[C]``; steps without a label don't count."""
    return torch.bincount(labels[labels != IGNORED].flatten(), minlength=classes)


def balanced_weights(counts: Tensor, beta: float) -> Tensor:
    """Weights by the effective number of samples (Cui et al. 2019, arXiv 1901.05555, eq. 2 and section 3.3).

    Args:
        counts: int64 ``[C]``.
        beta: 0 weighs all classes alike, towards 1 by the inverse of their frequency.

    Returns:
        float32 ``[C]`` with mean 1 over the classes that occur; 0 for those that don't.
    """
    number = (1.0 - beta ** counts.double()) / (1.0 - beta)
    weights = torch.where(counts > 0, 1.0 / number.clamp(min=1.0), 0.0)
    return (weights * (counts > 0).sum() / weights.sum()).float()


def log_prior(counts: Tensor) -> Tensor:
    """Logarithm of each class's share, float32 ``[C]``; a class that doesn't occur is taken to occur once."""
    seen = counts.clamp(min=1).double()
    return (seen / seen.sum()).log().float()
