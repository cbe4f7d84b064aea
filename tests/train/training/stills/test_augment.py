"""Random changes to crops: seeded, in range, each of its own."""

from __future__ import annotations

import msgspec
import pytest
import torch

from emorec_train.settings.stills import StillAugmentation
from emorec_train.training.stills.augment import Augmenter

NONE = StillAugmentation(
    tilt_degrees=0,
    scale=0,
    stretch=0,
    shift=0,
    shrink=1,
    shrink_share=0,
    compressed_share=0,
    light=0,
    noise=0,
    grey_share=0,
    patch_share=0,
    mask_share=0,
)


def changed(crops: torch.Tensor, settings: StillAugmentation, seed: int = 0) -> torch.Tensor:
    return Augmenter(settings, torch.Generator().manual_seed(seed))(crops)


def crops(channels: int = 1, count: int = 64) -> torch.Tensor:
    return torch.rand((count, channels, 24, 24), generator=torch.Generator().manual_seed(1))


def test_without_changes_crops_are_only_mirrored() -> None:
    before = crops().clamp(0.01, 1.0)
    after = changed(before, NONE)
    mirrored = [
        bool(torch.allclose(one, old.flip(-1), atol=1e-5)) for one, old in zip(after, before, strict=True)
    ]
    same = [bool(torch.allclose(one, old, atol=1e-5)) for one, old in zip(after, before, strict=True)]
    assert all(a != b for a, b in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48


@pytest.mark.parametrize("channels", [1, 3])
def test_values_stay_in_range_and_the_seed_decides(channels: int) -> None:
    settings = StillAugmentation()
    one, again = changed(crops(channels), settings), changed(crops(channels), settings)
    assert one.shape == (64, channels, 24, 24)
    assert torch.equal(one, again)
    assert not torch.equal(one, changed(crops(channels), settings, seed=1))
    assert one.min() >= 0
    assert one.max() <= 1


def test_a_mask_hides_all_below_the_nose_and_nothing_above() -> None:
    after = changed(torch.full((64, 1, 20, 20), 0.5), msgspec.structs.replace(NONE, mask_share=1.0))
    assert torch.allclose(after[:, :, :11], torch.full_like(after[:, :, :11], 0.5), atol=1e-5)
    hidden = after[:, :, 14:]
    assert torch.equal(hidden, hidden[:, :, :1, :1].expand_as(hidden))
    assert hidden.std() > 0.1


def test_small_faces_lose_detail() -> None:
    after = changed(crops(), msgspec.structs.replace(NONE, shrink=2.5, shrink_share=1.0), seed=3)
    assert after.var() < 0.8 * crops().var()


def test_colour_can_be_lost() -> None:
    after = changed(crops(3), msgspec.structs.replace(NONE, grey_share=1.0))
    ratio = after / after.mean(dim=1, keepdim=True)
    # White balance may remain: one factor for each channel of a crop.
    inside = (after > 0.02).all(dim=1, keepdim=True) & (after < 0.98).all(dim=1, keepdim=True)
    spread = torch.where(inside, ratio, torch.nan).flatten(2)
    deviation = (spread - spread.nanmean(dim=2, keepdim=True)).abs()
    assert deviation.nan_to_num(0.0).max() < 1e-3
