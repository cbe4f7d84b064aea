"""The optimiser loop that every stage shares: AdamW, warm-up and cosine, clipping."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import msgspec
import torch
from torch import Tensor, nn

from emorec_rt.errors import EmorecError

WARM_UP = 0.1
"""Share of the steps over which the learning rate rises."""

LARGEST_GRADIENT = 1.0
"""Gradients are scaled down to this norm."""


class TrainingDivergedError(EmorecError, RuntimeError):
    """The loss is not finite."""


class OptimiserProgress(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of an optimiser.

    Attributes:
        updates: Updates so far.
        scale: Of the loss (float16 only).
        updates_to_growth: Updates since the scale last changed.
    """

    updates: int
    scale: float = 0.0
    updates_to_growth: int = 0


@dataclass(frozen=True, slots=True)
class OptimiserState:
    """AdamW's moments by ``<parameter>.<name>``, and its progress."""

    tensors: dict[str, Tensor]
    progress: OptimiserProgress


class Optimiser:
    """AdamW over a known number of steps; no decay for vectors (norms, biases, temperatures).

    Args:
        modules: Modules to train; frozen parameters are left out.
        steps: Number of updates in all.
        learning_rate: Its peak.
        weight_decay: For matrices.
        warm_up: Share of the steps over which the learning rate rises.
        largest_gradient: Gradients are scaled down to this norm.
        scaler: Scales the losses, for float16.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        *,
        steps: int,
        learning_rate: float,
        weight_decay: float,
        warm_up: float = WARM_UP,
        largest_gradient: float = LARGEST_GRADIENT,
        scaler: torch.amp.GradScaler | None = None,
    ) -> None:
        self.parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
        matrices = [p for p in self.parameters if p.ndim > 1]
        vectors = [p for p in self.parameters if p.ndim <= 1]
        groups = [
            {"params": matrices, "weight_decay": weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._adamw = torch.optim.AdamW(groups, lr=learning_rate)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(
            self._adamw, lambda step: rate_at(step, steps, warm_up)
        )
        self._largest_gradient = largest_gradient
        self._scaler = scaler

    @property
    def learning_rate(self) -> float:
        """Learning rate of the next update."""
        return float(self._schedule.get_last_lr()[0])

    def step(self, loss: Tensor) -> float:
        """Update the weights by one loss and return its value.

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
        self.backward(loss)
        return value

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of one loss without looking at it, which would wait for a GPU."""
        scaled = loss if self._scaler is None else self._scaler.scale(loss)
        scaled.backward()  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Apply the added gradients; with a scaler, an update whose gradients overflow is skipped."""
        if self._scaler is not None:
            self._scaler.unscale_(self._adamw)
        nn.utils.clip_grad_norm_(self.parameters, self._largest_gradient)
        if self._scaler is None:
            self._adamw.step()
        else:
            self._scaler.step(self._adamw)
            self._scaler.update()
        self._schedule.step()
        self._adamw.zero_grad(set_to_none=True)

    def state(self) -> OptimiserState:
        """State for ``restore``."""
        states = self._adamw.state_dict()["state"]
        scaler = {} if self._scaler is None else self._scaler.state_dict()
        return OptimiserState(
            {f"{key}.{name}": value for key, own in states.items() for name, value in own.items()},
            OptimiserProgress(
                updates=int(self._schedule.last_epoch),
                scale=float(scaler.get("scale", 0.0)),
                updates_to_growth=int(scaler.get("_growth_tracker", 0)),
            ),
        )

    def restore(self, state: OptimiserState) -> None:
        """Continue from a state of the same parameters and settings."""
        moments: dict[int, dict[str, Tensor]] = {}
        for key, value in state.tensors.items():
            number, _, name = key.partition(".")
            moments.setdefault(int(number), {})[name] = value
        self._adamw.load_state_dict({**self._adamw.state_dict(), "state": moments})
        progress = state.progress
        rates = [
            peak * factor(progress.updates)
            for peak, factor in zip(self._schedule.base_lrs, self._schedule.lr_lambdas, strict=True)
        ]
        self._schedule.load_state_dict(
            {**self._schedule.state_dict(), "last_epoch": progress.updates, "_last_lr": rates}
        )
        for group, rate in zip(self._adamw.param_groups, rates, strict=True):
            group["lr"] = rate
        if self._scaler is not None:
            scale = {"scale": progress.scale, "_growth_tracker": progress.updates_to_growth}
            self._scaler.load_state_dict({**self._scaler.state_dict(), **scale})


def rate_at(step: int, steps: int, warm_up: float = WARM_UP) -> float:
    """Factor on the learning rate: linear warm-up, then a cosine down to 0."""
    warm = max(1, round(warm_up * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


def train_steps(steps: Iterable[int], optimiser: Optimiser, loss_of: Callable[[int], Tensor]) -> float:
    """Run steps. Returns the mean of the last tenth of the losses."""
    losses = [optimiser.step(loss_of(step)) for step in steps]
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail) if tail else 0.0
