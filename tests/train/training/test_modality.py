"""Streams that go missing, or go by too early or late."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest
import torch

from emorec_train.features.windows import WindowSet
from emorec_train.settings.fields import FusionSettings
from emorec_train.training.modality import drop_modalities, shift_sound
from small_model import PER_STEP, STEPS, feeds


def test_sound_is_shifted_by_whole_steps_and_masked_where_none_is_left() -> None:
    batch = WindowSet(**feeds(64), labels=torch.zeros(64, STEPS, dtype=torch.long))
    shifted = shift_sound(batch, 2, torch.Generator().manual_seed(0))
    seen = set()
    for k in range(64):
        steps = [
            d
            for d in range(-2, 3)
            if torch.equal(
                shifted.audio_tokens[k][max(d, 0) * PER_STEP : (STEPS + min(d, 0)) * PER_STEP],
                batch.audio_tokens[k][max(-d, 0) * PER_STEP : (STEPS - max(d, 0)) * PER_STEP],
            )
        ]
        assert len(steps) == 1
        seen.add(steps[0])
        assert shifted.audio_mask[k].sum() == (STEPS - abs(steps[0])) * PER_STEP
        assert not shifted.audio_tokens[k][shifted.audio_mask[k] == 0].any()
    assert seen == {-2, -1, 0, 1, 2}


def test_modality_dropout_never_takes_both_streams() -> None:
    batch = WindowSet(**feeds(200), labels=torch.zeros(200, 12, dtype=torch.long))
    settings = FusionSettings(epochs=1, batch=1, learning_rate=1.0, stream_dropout=0.3, stretch_dropout=0.3)
    dropped = drop_modalities(batch, settings, torch.Generator().manual_seed(0))
    frames, sound = dropped.frame_mask.any(1), dropped.audio_mask.any(1)
    assert (frames | sound).all()
    assert 0.2 < 1.0 - frames.float().mean() < 0.4
    assert 0.2 < 1.0 - sound.float().mean() < 0.4
    partly = frames & ~dropped.frame_mask.all(1)
    assert partly.any()


@pytest.mark.parametrize("only", ["frame_mask", "audio_mask"])
def test_the_only_stream_is_never_taken_whole(only: Literal["frame_mask", "audio_mask"]) -> None:
    """Sound without picture, or picture without sound; the windows that have both lose what they would."""
    lacking = "audio_mask" if only == "frame_mask" else "frame_mask"
    both = WindowSet(**feeds(200), labels=torch.zeros(200, STEPS, dtype=torch.long))
    mask = getattr(both, lacking).clone()
    mask[:100] = 0.0
    batch = replace(both, **{lacking: mask})
    settings = FusionSettings(epochs=1, batch=1, learning_rate=1.0, stream_dropout=0.4, stretch_dropout=0.3)
    dropped, usual = (drop_modalities(b, settings, torch.Generator().manual_seed(0)) for b in (batch, both))
    assert getattr(dropped, only)[:100].any(1).all()
    assert not getattr(dropped, lacking)[:100].any()
    assert not getattr(usual, only)[100:].any(1).all()
    for name in (only, lacking):
        assert torch.equal(getattr(dropped, name)[100:], getattr(usual, name)[100:])
