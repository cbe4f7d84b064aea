"""Rooms, noise, microphones and codecs, drawn at random for sound that is recorded clean.

All of it is computed in batches on any device. Shapes: ``B`` chunks, ``N`` samples, ``K`` bins of a spectrum.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from emorec_rt.constants import SAMPLE_RATE_HZ

ROOM_SHARE: Final = 0.5
NOISE_SHARE: Final = 0.6
EQUALISER_SHARE: Final = 0.8
CODEC_SHARE: Final = 0.25
"""Shares of the chunks that each is done to."""

ROOM_SAMPLES: Final = SAMPLE_RATE_HZ // 2
DECAY_NEPERS: Final = math.log(1000.0)
"""60 dB, which a room's decay time stands for."""

BANDS: Final = 8
"""Knots of the random equaliser."""

MU: Final = 255.0


@dataclass(frozen=True)
class Degrader:
    """Make clean speech sound as if recorded elsewhere, at another level.

    Attributes:
        noise: float32 ``[N]``, noises one after the other.
        generator: Draws everything; on the same device.
    """

    noise: Tensor
    generator: Generator

    def __call__(self, samples: Tensor) -> Tensor:
        """Map float32 ``[B, N]`` to the same."""
        x = self._some(samples, ROOM_SHARE, self._room)
        x = self._some(x, NOISE_SHARE, self._add_noise)
        x = self._some(x, EQUALISER_SHARE, self._equalise)
        x = self._some(x, CODEC_SHARE / 2, self._companded)
        x = self._some(x, CODEC_SHARE / 2, self._holes)
        return self._level(x)

    def _some(self, x: Tensor, share: float, effect: Callable[[Tensor], Tensor]) -> Tensor:
        rows = torch.rand(len(x), generator=self.generator, device=x.device) < share
        if not rows.any():
            return x
        x = x.clone()
        x[rows] = effect(x[rows])
        return x

    def _uniform(self, x: Tensor, low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand((len(x), 1), generator=self.generator, device=x.device)

    def _room(self, x: Tensor) -> Tensor:
        """Convolve with noise that decays: 0.1 to 0.9 s to -60 dB, direct sound -3 to 15 dB over the rest."""
        times = torch.arange(ROOM_SAMPLES, device=x.device) / SAMPLE_RATE_HZ
        noise = torch.randn((len(x), ROOM_SAMPLES), generator=self.generator, device=x.device)
        tail = noise * torch.exp(-DECAY_NEPERS * times / self._uniform(x, 0.1, 0.9))
        tail[:, :32] = 0.0
        energy = tail.square().sum(dim=1, keepdim=True).sqrt()
        tail = tail / energy * 10.0 ** (-self._uniform(x, -3.0, 15.0) / 20.0)
        tail[:, 0] = 1.0
        size = 1 << (x.shape[1] + ROOM_SAMPLES - 1).bit_length()
        spectrum = torch.fft.rfft(x, size) * torch.fft.rfft(tail, size)
        heard: Tensor = torch.fft.irfft(spectrum, size)[:, : x.shape[1]]
        return heard

    def _add_noise(self, x: Tensor) -> Tensor:
        """Recorded noise, white noise, or other people of the batch, 0 to 35 dB below the speech."""
        B, N = x.shape
        first = (self._uniform(x, 0.0, 1.0) * (len(self.noise) - N)).long()
        recorded = self.noise[first + torch.arange(N, device=x.device)]
        white = torch.randn((B, N), generator=self.generator, device=x.device)
        kind = self._uniform(x, 0.0, 1.0)
        noise = torch.where(
            kind < 0.65, recorded, torch.where(kind < 0.8, white, x.roll(1, 0) + x.roll(2, 0))
        )
        ratio = 10.0 ** (-self._uniform(x, 0.0, 35.0) / 20.0)
        return x + noise * ratio * _rms(x) / _rms(noise)

    def _equalise(self, x: Tensor) -> Tensor:
        """A smooth random response, and for half of the chunks the limits of a narrow band."""
        hertz = torch.linspace(0.0, SAMPLE_RATE_HZ / 2, x.shape[1] // 2 + 1, device=x.device)
        knots = torch.randn((len(x), BANDS), generator=self.generator, device=x.device)
        knots = knots * self._uniform(x, 0.0, 6.0)
        fine = F.interpolate(knots[:, None], 256, mode="linear", align_corners=True)[:, 0]
        octaves = torch.log2(hertz.clamp(min=60.0) / 60.0) / math.log2(SAMPLE_RATE_HZ / 120.0)
        gain_db = fine[:, (octaves * 255).long()]
        low, high = self._uniform(x, 20.0, 350.0), torch.exp(self._uniform(x, 7.94, 9.1))  # 2.8 to 9 kHz
        band_db = -10.0 * torch.log10(1.0 + (low / hertz.clamp(min=1.0)) ** 6)
        band_db = (band_db - 10.0 * torch.log10(1.0 + (hertz / high) ** 16)).clamp(min=-80.0)
        gain_db = gain_db + torch.where(self._uniform(x, 0.0, 1.0) < 0.5, band_db, torch.zeros_like(band_db))
        heard: Tensor = torch.fft.irfft(torch.fft.rfft(x) * 10.0 ** (gain_db / 20.0), x.shape[1])
        return heard

    def _companded(self, x: Tensor) -> Tensor:
        """mu-law of 5 to 8 bits, as on a telephone line."""
        peak = x.abs().amax(dim=1, keepdim=True).clamp(min=1e-6)
        steps = 2.0 ** (self._uniform(x, 4.0, 7.0).round())
        small = torch.log1p(MU * (x / peak).abs()) / math.log1p(MU)
        small = (small * steps).round() / steps
        expanded: Tensor = torch.sign(x) * torch.expm1(small * math.log1p(MU)) / MU
        return peak * expanded

    def _holes(self, x: Tensor) -> Tensor:
        """Drop what lies 20 to 45 dB below a spectrum's peak, as codecs of low rates do."""
        window = torch.hann_window(512, device=x.device)
        spectra = torch.stft(x, 512, 128, window=window, return_complex=True)
        size = spectra.abs()
        limit = size.amax(dim=1, keepdim=True) * 10.0 ** (-self._uniform(x, 20.0, 45.0)[..., None] / 20.0)
        kept = torch.where(size < limit, torch.zeros_like(spectra), spectra)
        return torch.istft(kept, 512, 128, window=window, length=x.shape[1])

    def _level(self, x: Tensor) -> Tensor:
        """Bring to a random level of -42 to -12 dBFS, and clip."""
        level = 10.0 ** (self._uniform(x, -42.0, -12.0) / 20.0)
        return (x * level / _rms(x)).clamp(-1.0, 1.0)


def _rms(x: Tensor) -> Tensor:
    return x.square().mean(dim=1, keepdim=True).sqrt().clamp(min=1e-6)
