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
        warm_up: Share of the steps over which the learning rate rises.
        largest_gradient: Gradients are scaled down to this norm.
        scaler: Scales the loss, for float16.
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
        self._peak, self._factor = learning_rate, lambda step: rate_at(step, steps, warm_up)
        self._schedule = torch.optim.lr_scheduler.LambdaLR(self._adamw, self._factor)
        self._largest_gradient = largest_gradient
        self.scaler = scaler

    def step(self, loss: Tensor) -> float:
        """Learn from one loss and return it.

        Raises:
            TrainingDivergedError: It is not finite.
        """
        self.begin()
        value = self.backward(loss)
        self.finish()
        return value

    def begin(self) -> None:
        """Forget the last step's gradients."""
        self._adamw.zero_grad(set_to_none=True)

    def backward(self, loss: Tensor) -> float:
        """Add a loss's gradients and return it.

        Raises:
            TrainingDivergedError: It is not finite.
        """
        value = float(loss.detach())
        if not math.isfinite(value):
            raise TrainingDivergedError("training diverged: the loss is not finite; lower the learning rate")
        scaled = loss if self.scaler is None else self.scaler.scale(loss)
        scaled.backward()  # type: ignore[no-untyped-call]
        return value

    def finish(self) -> None:
        """Learn from the gradients; with a scaler, a step whose gradients overflow is left out."""
        if self.scaler is not None:
            self.scaler.unscale_(self._adamw)
        nn.utils.clip_grad_norm_(self.parameters, self._largest_gradient)
        if self.scaler is None:
            self._adamw.step()
        else:
            self.scaler.step(self._adamw)
            self.scaler.update()
        self._schedule.step()

    @property
    def steps_done(self) -> int:
        """Steps so far."""
        return int(self._schedule.last_epoch)

    @property
    def learning_rate(self) -> float:
        """Of the next step."""
        return float(self._adamw.param_groups[0]["lr"])

    def tensors(self) -> dict[str, Tensor]:
        """AdamW's moments and steps, ``<parameter>.<name>``."""
        states = self._adamw.state_dict()["state"]
        return {f"{k}.{name}": value for k, state in states.items() for name, value in state.items()}

    def restore(self, tensors: dict[str, Tensor], steps_done: int) -> None:
        """Go on after ``steps_done`` steps with what ``tensors`` gave then."""
        states: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            number, _, name = key.partition(".")
            states.setdefault(int(number), {})[name] = value
        self._adamw.load_state_dict({**self._adamw.state_dict(), "state": states})
        self._schedule.last_epoch = steps_done
        for group in self._adamw.param_groups:
            group["lr"] = self._peak * self._factor(steps_done)


def rate_at(step: int, steps: int, warm_up: float = WARM_UP) -> float:
    """Factor on the learning rate: linear warm-up, then a cosine down to 0."""
    warm = max(1, round(warm_up * steps))
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - warm) / max(1, steps - warm))))


def train_steps(steps: Iterable[int], optimiser: Optimiser, loss_of: Callable[[int], Tensor]) -> float:
    """Run steps; the mean of the last tenth of the losses says where it ended."""
    losses = [optimiser.step(loss_of(step)) for step in steps]
    tail = losses[-max(1, len(losses) // 10) :]
    return sum(tail) / len(tail) if tail else 0.0
