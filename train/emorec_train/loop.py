"""The optimiser loop that every stage shares: AdamW, warm-up and cosine, clipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from emorec_rt.errors import EmorecError

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""

LARGEST_GRADIENT = 1.0
"""Gradients are scaled down to this norm."""


class TrainingDivergedError(EmorecError, RuntimeError):
    """The loss is no number any more."""


class Optimiser:
    """AdamW over a known number of steps; no decay for vectors (norms, biases, temperatures).

    Args:
        modules: What learns; frozen parameters are left out.
        steps: How many steps there will be.
        learning_rate: Its peak.
        weight_decay: For matrices.
    """

    def __init__(
        self, modules: Iterable[nn.Module], *, steps: int, learning_rate: float, weight_decay: float
    ) -> None:
        self.parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        matrices = [p for p in self.parameters if p.ndim > 1]
        vectors = [p for p in self.parameters if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._adamw = torch.optim.AdamW(groups, lr=learning_rate)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._adamw, lambda step: rate_at(step, steps))

    @property
    def learning_rate(self) -> float:
        """That of the next update."""
        return float(self._schedule.get_last_lr()[0])

    def step(self, loss: Tensor) -> float:
        """Learn from one loss and return it.

        Raises:
            TrainingDivergedError: It is not finite.
        """
        value = self.add(loss)
        self.update()
        return value

    def add(self, loss: Tensor) -> float:
        """Add the gradients of one loss to those of the next update, and return it.

        Raises:
            TrainingDivergedError: It is not finite.
        """
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingDivergedError("training diverged: the loss is not finite; lower the learning rate")
        loss.backward()  # type: ignore[no-untyped-call]
        return value

    def update(self) -> None:
        """Learn from all that was added."""
        nn.utils.clip_grad_norm_(self.parameters, LARGEST_GRADIENT)
        self._adamw.step()
        self._schedule.step()
        self._adamw.zero_grad(set_to_none=True)


def rate_at(step: int, steps: int) -> float:
    """Factor on the learning rate: linear warm-up, then a cosine down to 0."""
    warm = max(1, round(WARM_UP * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


def train_steps(steps: Iterable[int], optimiser: Optimiser, loss_of: Callable[[int], Tensor]) -> float:
    """Run steps; the mean of the last tenth of the losses says where it ended."""
    losses = [optimiser.step(loss_of(step)) for step in steps]
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail) if tail else 0.0
