"""Log-mel spectra inside the graph: a windowed Fourier transform as a convolution, then Slaney's filters.

Shapes: ``B`` chunks, ``N`` samples, ``F`` frames, ``M`` mel bands.
"""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn
from transformers.audio_utils import mel_filter_bank

from emorec_rt.constants import SAMPLE_RATE_HZ

WINDOW_SAMPLES: Final = 400
"""25 ms under a Hann window, as in Whisper."""

HOP_SAMPLES: Final = 160
"""10 ms."""

FLOOR: Final = 1e-10
"""Smallest power of a band, as in Whisper."""

_BINS: Final = WINDOW_SAMPLES // 2 + 1


class LogMel(nn.Module):
    """Decimal logarithm of the power in mel bands, of whole windows alone.

    Args:
        bands: ``M``.
    """

    basis: Tensor
    bank: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        phases = torch.outer(torch.arange(_BINS), torch.arange(WINDOW_SAMPLES)) * (
            2 * math.pi / WINDOW_SAMPLES
        )
        waves = torch.cat([phases.cos(), -phases.sin()]) * torch.hann_window(WINDOW_SAMPLES)
        bank = mel_filter_bank(
            _BINS, bands, 0.0, SAMPLE_RATE_HZ / 2, SAMPLE_RATE_HZ, norm="slaney", mel_scale="slaney"
        )
        # Both follow from the sizes above, so that a checkpoint doesn't carry them.
        self.register_buffer("basis", waves.float()[:, None], persistent=False)
        self.register_buffer("bank", torch.from_numpy(bank.T).float(), persistent=False)

    def forward(self, samples: Tensor) -> Tensor:
        """Map float32 ``[B, N]`` to ``[B, M, F]``; frame ``f`` begins at sample ``160 f``."""
        with torch.autocast(samples.device.type, enabled=False):
            waves = nn.functional.conv1d(samples.float()[:, None], self.basis, stride=HOP_SAMPLES)
            real, imaginary = waves.chunk(2, dim=1)
            power = self.bank @ (real * real + imaginary * imaginary)
            return torch.log10(power.clamp(min=FLOOR))
