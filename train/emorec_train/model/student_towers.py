"""Small towers for machines without an accelerator: they learn from a large model, see ``training.students``.

A visual one takes at most 0.35 billion multiply-adds (GMAC) a frame, one of sound at most 0.5 a second, in
the smaller size; the larger takes three to four times as many.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from emorec_train.model.config import AudioConfig, ConvConfig

MACS: Final = 1e9
"""Multiply-adds of one GMAC."""


@dataclass(frozen=True, slots=True)
class VisualTower:
    """Shape of a visual tower.

    Attributes:
        image_size: Side of the crop in pixels.
        conv: Its convolutions.
    """

    image_size: int
    conv: ConvConfig


VISUAL: Final[Mapping[str, VisualTower]] = MappingProxyType(
    {
        "edge-s": VisualTower(
            112, ConvConfig(channels=(48, 96, 192, 384), depths=(1, 2, 2, 2), stem_stride=2)
        ),
        "edge-m": VisualTower(
            112, ConvConfig(channels=(64, 128, 320, 640), depths=(2, 3, 3, 3), stem_stride=2)
        ),
    }
)

AUDIO: Final[Mapping[str, AudioConfig]] = MappingProxyType(
    {
        "edge-s": AudioConfig(kind="mel", width=256, layers=4, intermediate=1024, position_kernel=9),
        "edge-m": AudioConfig(kind="mel", width=384, layers=8, intermediate=1536, position_kernel=9),
    }
)


def gmacs(module: nn.Module, example: torch.Tensor) -> float:
    """Billions of multiply-adds of a pass, in convolutions and matrix products, as torch counts them."""
    counter = FlopCounterMode(display=False)
    with torch.no_grad(), _open_attention(), counter:
        module(example)
    return float(counter.get_total_flops()) / 2 / MACS


@contextmanager
def _open_attention() -> Iterator[None]:
    """Keep torch from its fused kernels of attention, of which not all is counted."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
