"""Settings of the stage for still pictures."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from emorec_rt.bundle.manifest import Positive, Share

Amount = Annotated[float, msgspec.Meta(ge=0.0)]
Rate = Annotated[float, msgspec.Meta(gt=0.0)]
Below1 = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
AtLeast1 = Annotated[float, msgspec.Meta(ge=1.0)]


class StillAugmentation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Random changes of a crop.

    Attributes:
        tilt_degrees: Largest rotation.
        scale: Largest relative change of size; detectors frame faces differently.
        stretch: Largest relative change of width to height.
        shift: Largest shift as a share of the side.
        shrink: Largest factor by which a crop is made smaller before it is enlarged again.
        shrink_share: Share of the crops for which that is done.
        compressed_share: Share of the crops that are taken from copies with strong JPEG compression.
        light: Largest change of gamma and contrast, as a logarithm.
        noise: Largest standard deviation of noise, of pixels from 0 to 1.
        grey_share: Share of coloured crops that lose their colour.
        patch_share: Share of the crops in which a rectangle is hidden.
        mask_share: Share of the crops in which everything below the nose is hidden.
    """

    tilt_degrees: Amount = 15.0
    scale: Amount = 0.2
    stretch: Amount = 0.08
    shift: Share = 0.08
    shrink: AtLeast1 = 2.5
    shrink_share: Share = 0.25
    compressed_share: Share = 0.2
    light: Amount = 0.5
    noise: Amount = 0.05
    grey_share: Share = 0.2
    patch_share: Share = 0.2
    mask_share: Share = 0.06


class StillSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training of a visual encoder on labelled still pictures.

    Attributes:
        epochs: Passes over as many pictures as the training split of the first set has.
        batch: Pictures in a step.
        learning_rate: Its peak.
        weight_decay: AdamW's.
        last_blocks: How many of the tower's last blocks learn; 0 for all of it.
        lora_rank: Rank of low-rank updates that learn in place of the weights; 0 for none.
        balance: Pictures are drawn by the frequency of their class to the power of minus this: 0 as they
            come, 0.5 root-inverse, 1 every class as often.
        label_smoothing: Share of the target spread over all classes.
        mixup: Of the beta distribution by which two pictures and their targets are mixed; 0 never mixes
            (Zhang et al. 2018, arXiv 1710.09412).
        text_weight: Weight of the loss against the class texts beside that of the linear head.
        average_decay: Of the moving average of the weights, which is what is scored and kept.
        patience: Epochs without a better validation macro F1 after which training ends; 0 never ends early.
        precision: Of the forward pass on a GPU (autocast); a CPU computes in float32, which is faster there.
        grey: Learn from grey pictures alone; the first convolution then turns colour into grey itself.
        augmentation: Random changes.
    """

    epochs: Positive = 60
    batch: Positive = 128
    learning_rate: Rate = 2e-3
    weight_decay: Amount = 0.05
    last_blocks: Annotated[int, msgspec.Meta(ge=0)] = 0
    lora_rank: Annotated[int, msgspec.Meta(ge=0)] = 0
    balance: Share = 0.5
    label_smoothing: Share = 0.0
    mixup: Amount = 0.2
    text_weight: Amount = 0.2
    average_decay: Below1 = 0.999
    patience: Annotated[int, msgspec.Meta(ge=0)] = 0
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    grey: bool = True
    augmentation: StillAugmentation = StillAugmentation()

    @property
    def partial(self) -> bool:
        """Say whether only a part of the encoder learns."""
        return bool(self.last_blocks or self.lora_rank)
