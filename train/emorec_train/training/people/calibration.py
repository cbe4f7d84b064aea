"""Probabilities that are right as often as they say: one temperature for all logits (Guo et al. 2017).

Shapes: ``N`` steps, ``C`` classes.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import nn

from emorec_train.model.fusion import FusionModel

BINS: Final = 15


def best_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The temperature with the least cross-entropy, of logits ``[N, C]`` and labels ``[N]``."""
    x, y = torch.from_numpy(logits), torch.from_numpy(labels)
    temperatures = np.exp(np.linspace(np.log(0.25), np.log(4.0), 121))
    losses = [float(F.cross_entropy(x / float(one), y)) for one in temperatures]
    return float(temperatures[int(np.argmin(losses))])


@torch.no_grad()
def soften(fusion: FusionModel, temperature: float) -> None:
    """Divide a model's logits by a temperature, in its last layer."""
    last = fusion.head[-1]
    assert isinstance(last, nn.Linear)  # noqa: S101 - as the model builds it
    last.weight.div_(temperature)
    last.bias.div_(temperature)


def calibration_error(probabilities: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Expected calibration error: how far the largest probability is from the share that is right.

    Args:
        probabilities: ``[N, C]``.
        labels: ``[N]``.
    """
    sure, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    bins = np.minimum((sure * BINS).astype(int), BINS - 1)
    gaps = [
        abs(float(sure[bins == k].sum() - right[bins == k].sum())) for k in range(BINS) if (bins == k).any()
    ]
    return sum(gaps) / len(labels)
