"""Streams that go missing while training, so that masks are nothing new when serving."""

from __future__ import annotations

import torch
from torch import Generator, Tensor

from emorec_train.features import WindowSet
from emorec_train.presets import FusionSettings

LONGEST_STRETCH = 0.5
"""Longest dropped stretch, as a share of the window."""


def drop_modalities(batch: WindowSet, settings: FusionSettings, generator: Generator) -> WindowSet:
    """Mask whole streams (never both) and stretches, and shake the features."""
    B = len(batch)
    which = torch.rand(B, generator=generator)
    keep_frames = (which >= settings.stream_dropout).float()[:, None]
    keep_audio = (which < 1.0 - settings.stream_dropout).float()[:, None]
    frame_mask = batch.frame_mask * keep_frames * _stretches(batch.frame_mask, settings, generator)
    audio_mask = batch.audio_mask * keep_audio * _stretches(batch.audio_mask, settings, generator)
    return WindowSet(
        _shaken(batch.frame_embeddings, settings, generator),
        frame_mask,
        _shaken(batch.audio_tokens, settings, generator),
        audio_mask,
        batch.labels,
    )


def _stretches(mask: Tensor, settings: FusionSettings, generator: Generator) -> Tensor:
    """1 outside and 0 inside a random stretch, for some windows: ``[B, L]``."""
    B, L = mask.shape
    hit = (torch.rand(B, 1, generator=generator) < settings.stretch_dropout).float()
    length = torch.rand(B, 1, generator=generator) * LONGEST_STRETCH
    start = torch.rand(B, 1, generator=generator) * (1.0 - length)
    place = (torch.arange(L) + 0.5) / L
    inside = ((place >= start) & (place < start + length)).float()
    return 1.0 - hit * inside


def _shaken(features: Tensor, settings: FusionSettings, generator: Generator) -> Tensor:
    noise = torch.randn(features.shape, generator=generator)
    return features + settings.feature_noise * features.std(dim=-1, keepdim=True) * noise
