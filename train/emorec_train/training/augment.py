"""Random changes that leave the expression alone, while encoders are trained from scratch.

Shapes: ``B`` frames or chunks, ``H = W`` crop side, ``N`` samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SHIFT = 0.02
"""Largest shift of a crop as a share of its side; the detector's boxes jitter by about as much."""

SCALE = 0.04
"""Largest relative change of a crop's size."""


def augment_frames(frames: Tensor, generator: Generator) -> Tensor:
    """Mirror, move and scale crops, uint8 ``[B, H, W, 3]`` to the same.

    The generated clips bring noise, blur, light and occlusion of their own; more of it here only slows the
    encoder down (measured: benchmarks/LOG.md).
    """
    x = _move(frames.permute(0, 3, 1, 2).float() / 255.0, generator)
    return (x.clamp(0.0, 1.0) * 255.0).round().byte().permute(0, 2, 3, 1)


def augment_sound(samples: Tensor, generator: Generator) -> Tensor:
    """Tilt the spectrum and add noise, float32 ``[B, N]`` to the same; gain would be normalised away."""
    B = samples.shape[0]
    tilt = _uniform((B, 1), -0.4, 0.4, generator)
    tilted = samples + tilt * F.pad(samples, (1, 0))[:, :-1]
    level = samples.square().mean(dim=1, keepdim=True).sqrt()
    ratio = 10.0 ** (-_uniform((B, 1), 10.0, 50.0, generator) / 20.0)
    return tilted + level * ratio * torch.randn(samples.shape, generator=generator)


def _uniform(shape: tuple[int, ...], low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(shape, generator=generator)


def _move(x: Tensor, generator: Generator) -> Tensor:
    B = x.shape[0]
    size = 1.0 + _uniform((B,), -SCALE, SCALE, generator)
    mirror = torch.where(torch.rand(B, generator=generator) < 0.5, -1.0, 1.0)
    shift = _uniform((B, 2), -2 * SHIFT, 2 * SHIFT, generator)  # the grid runs from -1 to 1
    zero = torch.zeros(B)
    rows = [torch.stack([mirror * size, zero, shift[:, 0]], 1), torch.stack([zero, size, shift[:, 1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, padding_mode="border", align_corners=False)
