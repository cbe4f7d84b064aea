"""Degraded speech is another sound of the same length, drawn from a generator alone."""

from __future__ import annotations

import pytest
import torch
from torch import Generator, Tensor

from emorec_train.training.degrade import Degrader

EFFECTS = ["_room", "_add_noise", "_equalise", "_companded", "_holes", "_level"]


def degrader(seed: int = 0) -> Degrader:
    return Degrader(torch.randn(40_000, generator=Generator().manual_seed(9)), Generator().manual_seed(seed))


def speech() -> Tensor:
    envelope = torch.sin(torch.linspace(0, 9, 16_080)).abs()
    return 0.2 * envelope * torch.randn(6, 16_080, generator=Generator().manual_seed(1))


@pytest.mark.parametrize("effect", EFFECTS)
def test_each_effect_changes_sound_and_keeps_its_shape(effect: str) -> None:
    x = speech()
    y = getattr(degrader(), effect)(x.clone())
    assert y.shape == x.shape
    assert y.isfinite().all()
    assert ((y - x).abs().amax(dim=1) > 1e-4).all()


@pytest.mark.parametrize("effect", EFFECTS)
def test_silence_stays_finite(effect: str) -> None:
    assert getattr(degrader(), effect)(torch.zeros(3, 16_080)).isfinite().all()


def test_a_seed_repeats_and_another_differs() -> None:
    one, same, other = (degrader(seed)(speech()) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_levels_are_spread_and_nothing_clips_beyond_full_scale() -> None:
    levels = []
    for seed in range(8):
        y = degrader(seed)(speech())
        assert y.abs().max() <= 1.0
        levels += (20 * torch.log10(y.square().mean(dim=1).sqrt())).tolist()
    assert -43 < min(levels) < -30
    assert -25 < max(levels) < -11


def test_noise_is_at_most_as_loud_as_speech() -> None:
    x = speech()
    noise = degrader()._add_noise(x) - x
    assert (noise.square().mean(dim=1) <= 1.01 * x.square().mean(dim=1)).all()
