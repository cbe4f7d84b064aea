"""Towers that learnt from grey pictures, made to take colour: their first convolution computes the luma."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from emorec_rt.errors import UsageError
from emorec_train.data.pictures.types import LUMA
from emorec_train.model.vision import VisionEncoder


def stem_of(vision: VisionEncoder) -> nn.Conv2d:
    """The convolution that reads pixels.

    Raises:
        UsageError: It isn't known where this tower has it.
    """
    for module in vision.visual.modules():
        if isinstance(module, nn.Conv2d) and module.in_channels == 3:
            return module
    raise UsageError("stills: grey needs a visual tower that begins with a convolution")


def require_grey(vision: VisionEncoder) -> None:
    """Check that luma can be folded into the tower exactly.

    Raises:
        UsageError: Mean or deviation differ by channel, or there is no convolution to fold it into.
    """
    stem_of(vision)
    if len(set(vision.scale.tolist())) > 1 or len(set(vision.shift.tolist())) > 1:
        raise UsageError(
            "stills: grey needs the same mean and std for each channel; "
            "give --set model.preprocessing.vision.mean=[0.5,0.5,0.5] and std likewise"
        )


@torch.no_grad()
def fold_grey(vision: VisionEncoder) -> None:
    """Make the embedding of a colour picture that of its luma.

    A grey picture has three equal channels, so only the sum of a filter over them counted while the tower
    learnt; luma's parts of that sum go to the channels. For grey pictures nothing changes.
    """
    weight = stem_of(vision).weight
    luma: Tensor = torch.tensor(LUMA, device=weight.device)
    weight.copy_(weight.sum(dim=1, keepdim=True) * luma.view(1, 3, 1, 1))
