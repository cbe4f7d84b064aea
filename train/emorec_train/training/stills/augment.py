"""Random changes to face crops that leave the expression alone, in batches, on the device that trains.

Shapes: ``B`` crops, ``K`` channels (1 grey, 3 RGB), ``S`` side in pixels. Values are 0 to 1.

Crops of video are smaller, darker, blurred, compressed, tilted and half covered; stills that are collected
for training hardly are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from emorec_train.settings.stills import StillAugmentation


@dataclass(frozen=True, slots=True)
class Augmenter:
    """Draw changes from one generator.

    Attributes:
        settings: How strong they are.
        generator: On the device of the crops.
    """

    settings: StillAugmentation
    generator: Generator

    def __call__(self, crops: Tensor) -> Tensor:
        """Change each of ``[B, K, S, S]`` in its own way."""
        x = self._resized(self._moved(crops))
        if x.shape[1] == 3:
            x = self._tinted(x)
        x = self._lit(x)
        x = self._noisy(x)
        return self._covered(x).clamp(0.0, 1.0)

    def _uniform(self, shape: tuple[int, ...], low: float, high: float) -> Tensor:
        draw = torch.rand(shape, generator=self.generator, device=self.generator.device)
        return low + (high - low) * draw

    def _chosen(self, count: int, share: float) -> Tensor:
        """Say whether a change applies, bool ``[B, 1, 1, 1]``."""
        return self._uniform((count, 1, 1, 1), 0.0, 1.0) < share

    def _moved(self, x: Tensor) -> Tensor:
        """Mirror, tilt, scale and shift; the edge is repeated, as the runtime does."""
        B, own = len(x), self.settings
        angle = self._uniform((B,), -own.tilt_degrees, own.tilt_degrees) * (math.pi / 180.0)
        size = torch.exp(self._uniform((B,), -1.0, 1.0) * math.log(1.0 + own.scale))
        stretch = torch.exp(self._uniform((B,), -1.0, 1.0) * math.log(1.0 + own.stretch))
        mirror = torch.where(self._uniform((B,), 0.0, 1.0) < 0.5, -1.0, 1.0)
        shift = self._uniform((B, 2), -2.0 * own.shift, 2.0 * own.shift)  # the grid runs from -1 to 1
        cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
        rows = [
            torch.stack([mirror * cos * stretch, -sin / stretch, shift[:, 0]], 1),
            torch.stack([mirror * sin * stretch, cos / stretch, shift[:, 1]], 1),
        ]
        grid = F.affine_grid(torch.stack(rows, 1), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid.to(x.dtype), padding_mode="border", align_corners=False)

    def _resized(self, x: Tensor) -> Tensor:
        """Take some from smaller faces: down, and up again."""
        share = float(self._uniform((1,), 1.0 / self.settings.shrink, 1.0).cpu())
        side = x.shape[-1]
        small = F.interpolate(
            x, size=max(round(side * share), 8), mode="bilinear", antialias=True, align_corners=False
        )
        again = F.interpolate(small, size=side, mode="bilinear", align_corners=False)
        return torch.where(self._chosen(len(x), self.settings.shrink_share), again, x)

    def _tinted(self, x: Tensor) -> Tensor:
        """Change white balance and saturation; some lose all colour."""
        B = len(x)
        grey = x.mean(dim=1, keepdim=True)
        saturation = self._uniform((B, 1, 1, 1), 0.5, 1.5)
        saturation = torch.where(self._chosen(B, self.settings.grey_share), 0.0, saturation)
        return (grey + saturation * (x - grey)) * self._uniform((B, 3, 1, 1), 0.85, 1.15)

    def _lit(self, x: Tensor) -> Tensor:
        """Change gamma, contrast and brightness, and put light to one side."""
        B, strength, side = len(x), self.settings.light, x.shape[-1]
        gamma = torch.exp(self._uniform((B, 1, 1, 1), -strength, strength))
        contrast = torch.exp(self._uniform((B, 1, 1, 1), -strength, 0.6 * strength))
        brightness = self._uniform((B, 1, 1, 1), -0.3 * strength, 0.3 * strength)
        x = (x.clamp(1e-3, 1.0) ** gamma - 0.5) * contrast + 0.5 + brightness
        steps = torch.linspace(-1.0, 1.0, side, device=x.device)
        across, down = self._uniform((2, B, 1, 1, 1), -strength, strength)
        slope = across * steps.view(1, 1, 1, side) + down * steps.view(1, 1, side, 1)
        return torch.where(self._chosen(B, 0.3), x * (1.0 + slope), x)

    def _noisy(self, x: Tensor) -> Tensor:
        level = self._uniform((len(x), 1, 1, 1), 0.0, self.settings.noise)
        noise = torch.randn(x.shape, generator=self.generator, device=x.device)
        return torch.where(self._chosen(len(x), 0.3), x + level * noise, x)

    def _covered(self, x: Tensor) -> Tensor:
        """Hide a rectangle of some, and of others all below the nose."""
        B, side = len(x), x.shape[-1]
        steps = (torch.arange(side, device=x.device) + 0.5) / side
        size = self._uniform((2, B, 1), 0.15, 0.4)
        start = self._uniform((2, B, 1), 0.0, 1.0) * (1.0 - size)
        inside = (steps >= start) & (steps < start + size)  # [2, B, S]
        patch = (inside[0][:, None, :, None] & inside[1][:, None, None, :]) & self._chosen(
            B, self.settings.patch_share
        )
        mouth = (steps >= self._uniform((B, 1), 0.55, 0.7))[:, None, :, None] & self._chosen(
            B, self.settings.mask_share
        )
        return torch.where(patch | mouth, self._uniform((B, x.shape[1], 1, 1), 0.0, 1.0), x)
