"""Several processes that train one model: ``torchrun --nproc-per-node N train/run.py ...``.

Each holds the whole model and takes its part of every batch; the parts' gradients are added. A step is the
same step whatever their number: batch, learning rate and schedule need no change.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

import torch
import torch.distributed as dist
from torch import nn

from emorec_rt.errors import UsageError
from emorec_train.features import WindowSet
from emorec_train.labels import IGNORED

LONGEST_WAIT: Final = timedelta(days=1)
"""While process 0 fills a cache the others wait; if one fails, torchrun ends them all."""


@dataclass(frozen=True, slots=True)
class Processes:
    """Who takes part.

    Attributes:
        rank: Number of this process, from 0; process 0 alone writes.
        count: How many there are.
        device: Where this one computes.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Whether this process writes and speaks."""
        return self.rank == 0

    def add_gradients(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace each gradient by the sum over all processes."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        if self.count == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        sums = torch.split(flat, [gradient.numel() for gradient in gradients])
        for gradient, total in zip(gradients, sums, strict=True):
            gradient.copy_(total.view_as(gradient))

    def part_of(self, batch: WindowSet) -> tuple[WindowSet, WindowSet]:
        """This process's windows of a batch, and the batch; where it has none, a window without labels."""
        own = torch.arange(len(batch)).tensor_split(self.count)[self.rank]
        if len(own):
            return batch.select(own), batch
        # All need gradients to add, be they 0.
        first = batch.select(torch.tensor([0]))
        return replace(first, labels=torch.full_like(first.labels, IGNORED)), batch

    def agree(self, value: float) -> float:
        """Process 0's value."""
        if self.count == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told)

    def total(self, value: float) -> float:
        """The sum over all processes."""
        if self.count == 1:
            return value
        summed = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return float(summed)

    def wait(self) -> None:
        """Until all are here."""
        if self.count > 1:
            self.agree(0.0)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """One process after the other, process 0 first: it fills a cache that the others read."""
        for _ in range(self.rank):
            self.wait()
        yield
        for _ in range(self.count - self.rank):
            self.wait()


@contextmanager
def joined(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started; without it there is this one.

    Args:
        device: ``cpu`` or ``cuda``, where each process takes a GPU of its own.

    Raises:
        UsageError: There is no GPU.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; leave the option out")
    place = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0"))) if device == "cuda" else None
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(device=place or torch.device("cpu"))
        return
    if place is not None:
        torch.cuda.set_device(place)
    dist.init_process_group("gloo" if place is None else "nccl", timeout=LONGEST_WAIT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), place or torch.device("cpu"))
    finally:
        dist.destroy_process_group()
