"""Moving average of weights, which is scored and kept in their place."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel


def moving_average(model: nn.Module, decay: float) -> AveragedModel | None:
    """Exponential moving average of a model's weights; ``None`` for a decay of 0."""
    if not decay:
        return None
    return AveragedModel(model, multi_avg_fn=partial(_move_averages, decay))


@torch.no_grad()
def _move_averages(
    decay: float, averages: list[Tensor], currents: list[Tensor], updates: Tensor | int
) -> None:
    """Step of an exponential moving average whose decay rises to its full value.

    It is ``min(decay, (1 + n) / (10 + n))`` after ``n`` updates, as in TensorFlow's
    ``ExponentialMovingAverage``: with the full decay from the start, the average of a short training would
    still be its random start.
    """
    count = int(updates)
    torch._foreach_lerp_(averages, currents, 1.0 - min(decay, (1 + count) / (10 + count)))
