"""Several processes that train one model: ``torchrun --nproc-per-node N train/run.py ...``.

Each holds the whole model and takes its part of every batch; gradients are summed. A step is the same for any
number of processes, so batch, learning rate and schedule need no change.
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

from emorec_train.data.labels import IGNORED
from emorec_train.features.windows import WindowSet
from emorec_train.model.build import find_device

LONGEST_WAIT: Final = timedelta(days=1)
"""While process 0 fills a cache the others wait; if one fails, torchrun ends them all."""


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among those that train together.

    Attributes:
        rank: Number of this process, from 0; process 0 alone writes.
        count: Number of processes.
        device: Device that this one computes on.
    """

    rank: int = 0
    count: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """True for the process that writes files and messages."""
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
        # Every process must take part in the sum, if only with zeros.
        first = batch.select(torch.tensor([0]))
        return replace(first, labels=torch.full_like(first.labels, IGNORED), measures=None), batch

    def agree(self, value: float) -> float:
        """Give all processes the value of process 0."""
        if self.count == 1:
            return value
        told = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.broadcast(told, 0)
        return float(told)

    def total(self, value: float) -> float:
        """Sum a value over all processes."""
        if self.count == 1:
            return value
        summed = torch.tensor([value], dtype=torch.float64, device=self.device)
        dist.all_reduce(summed)
        return float(summed)

    def wait(self) -> None:
        """Wait for all processes."""
        if self.count > 1:
            self.agree(0.0)

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """Run the block in one process after the other: process 0 fills the cache that the others read."""
        for _ in range(self.rank):
            self.wait()
        yield
        for _ in range(self.count - self.rank):
            self.wait()


@contextmanager
def join_processes(device: str) -> Iterator[Processes]:
    """Join the processes that torchrun started; without it there is this one.

    Args:
        device: ``cpu`` or ``cuda``, where each process takes a GPU of its own.

    Raises:
        UsageError: There is no GPU.
    """
    place = find_device(device)
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes(device=place)
        return
    if place.type == "cuda":
        torch.cuda.set_device(place)
    dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), place)
    finally:
        dist.destroy_process_group()
