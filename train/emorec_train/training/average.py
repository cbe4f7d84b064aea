"""A moving average of weights, which is what is scored and kept."""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


class MovingAverage(Generic[M]):
    """Exponential moving average of a module's weights and of its norms' statistics.

    It follows closely at first: update ``n`` has decay ``min(decay, (1 + n) / (10 + n))``, so that a short
    run's average isn't made of its first weights.

    Args:
        module: Whose; it is copied.
        decay: Share of the average that an update keeps, towards the end.

    Attributes:
        module: The average.
        updates: How many it took.
    """

    def __init__(self, module: M, decay: float) -> None:
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.updates = 0
        self._decay = decay

    @torch.no_grad()
    def update(self, module: M) -> None:
        """Take a module's present weights in."""
        own = 1.0 - min(self._decay, (1.0 + self.updates) / (10.0 + self.updates))
        averaged, current = self.module.state_dict(), module.state_dict()
        names = [name for name, value in averaged.items() if value.is_floating_point()]
        torch._foreach_lerp_([averaged[name] for name in names], [current[name] for name in names], own)
        for name in averaged.keys() - set(names):
            averaged[name].copy_(current[name])
        self.updates += 1
