"""Random changes that leave the expression alone, while encoders are trained from scratch.

Shapes: ``B`` frames or chunks, ``H = W`` crop side, ``N`` samples.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

SHIFT = 0.04
"""Largest shift of a crop as a share of its side; the detector's boxes jitter by about as much."""

SCALE = 0.08
"""Largest relative change of a crop's size."""

CUTOUT = 0.3
"""Largest side of the square that is cut out, as a share of the crop's."""


def augment_frames(frames: Tensor, generator: Generator) -> Tensor:
    """Flip, move, blur, recolour and cut crops, uint8 ``[B, H, W, 3]`` to the same."""
    x = _recolour(_move(frames.permute(0, 3, 1, 2).float() / 255.0, generator), generator)
    # One kind of damage for each quarter of the batch, whose order is random; the last stays as it is.
    blurred, noisy, cut, rest = x.tensor_split(4)
    x = torch.cat([_blur(blurred, generator), _noise(noisy, generator), _cut_out(cut, generator), rest])
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


def _recolour(x: Tensor, generator: Generator) -> Tensor:
    B = x.shape[0]
    contrast = _uniform((B, 1, 1, 1), 0.75, 1.25, generator)
    brightness = _uniform((B, 1, 1, 1), -0.1, 0.1, generator)
    colour = _uniform((B, 3, 1, 1), -0.07, 0.07, generator)
    return (x - 0.5) * contrast + 0.5 + brightness + colour


def _blur(x: Tensor, generator: Generator) -> Tensor:
    blurred = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    return torch.lerp(x, blurred, torch.rand(x.shape[0], 1, 1, 1, generator=generator))


def _noise(x: Tensor, generator: Generator) -> Tensor:
    level = _uniform((x.shape[0], 1, 1, 1), 0.0, 0.06, generator)
    return x + level * torch.randn(x.shape, generator=generator)


def _cut_out(x: Tensor, generator: Generator) -> Tensor:
    B, _, H, W = x.shape
    centre = torch.rand(B, 2, 1, generator=generator)
    half = CUTOUT / 2 * torch.rand(B, 1, generator=generator)
    rows = (torch.arange(H) / H - centre[:, 0]).abs() < half  # [B, H]
    columns = (torch.arange(W) / W - centre[:, 1]).abs() < half  # [B, W]
    hole = rows[:, None, :, None] & columns[:, None, None, :]
    return x.masked_fill(hole, 0.5)
