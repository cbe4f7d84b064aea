"""Modality dropout: streams are masked while training, because they will be missing at run time."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Generator, Tensor

from emorec_train.features.windows import WindowSet
from emorec_train.settings.fields import FusionSettings

LONGEST_STRETCH = 0.5
"""Longest dropped stretch, as a share of the window."""


def drop_modalities(batch: WindowSet, settings: FusionSettings, generator: Generator) -> WindowSet:
    """Mask whole streams (never both) and stretches, shift sound against picture, add noise to the features.

    The only stream of a window is never masked as a whole.
    """
    B = len(batch)
    if settings.time_jitter:
        batch = shift_sound(batch, settings.time_jitter, generator)
    which = torch.rand(B, generator=generator)
    keep_frames = (which >= settings.stream_dropout)[:, None] | ~_any(batch.audio_mask)
    keep_audio = (which < 1.0 - settings.stream_dropout)[:, None] | ~_any(batch.frame_mask)
    frame_mask = batch.frame_mask * keep_frames * _stretches(batch.frame_mask, settings, generator)
    audio_mask = batch.audio_mask * keep_audio * _stretches(batch.audio_mask, settings, generator)
    return replace(
        batch,
        frame_embeddings=_noisy(batch.frame_embeddings, settings, generator),
        frame_mask=frame_mask,
        audio_tokens=_noisy(batch.audio_tokens, settings, generator),
        audio_mask=audio_mask,
    )


def _any(mask: Tensor) -> Tensor:
    """True for windows with any unmasked step of a stream: bool ``[B, 1]``."""
    return (mask != 0).any(1, keepdim=True)


def shift_sound(batch: WindowSet, most_steps: int, generator: Generator) -> WindowSet:
    """Move each window's sound by up to ``most_steps`` steps either way; where none is left, it is masked."""
    B, S = batch.audio_mask.shape
    tokens_per_step = S // batch.frame_mask.shape[1]
    steps = torch.randint(-most_steps, most_steps + 1, (B, 1), generator=generator)
    source = torch.arange(S) - steps * tokens_per_step  # [B, S]
    inside, source = (source >= 0) & (source < S), source.clamp(0, S - 1)
    windows = torch.arange(B)[:, None]
    mask = batch.audio_mask[windows, source] * inside
    tokens = batch.audio_tokens[windows, source] * inside[..., None]
    return replace(batch, audio_tokens=tokens, audio_mask=mask)


def _stretches(mask: Tensor, settings: FusionSettings, generator: Generator) -> Tensor:
    """1 outside and 0 inside a random stretch, for some windows: ``[B, L]``."""
    B, L = mask.shape
    hit = (torch.rand(B, 1, generator=generator) < settings.stretch_dropout).float()
    length = torch.rand(B, 1, generator=generator) * LONGEST_STRETCH
    start = torch.rand(B, 1, generator=generator) * (1.0 - length)
    place = (torch.arange(L) + 0.5) / L
    inside = ((place >= start) & (place < start + length)).float()
    return 1.0 - hit * inside


def _noisy(features: Tensor, settings: FusionSettings, generator: Generator) -> Tensor:
    noise = torch.randn(features.shape, generator=generator)
    return features + settings.feature_noise * features.std(dim=-1, keepdim=True) * noise
