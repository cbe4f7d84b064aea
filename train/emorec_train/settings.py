"""What a training run may be told: one validated structure, written down in ``train/presets/*.toml``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from emorec_rt.manifest import Positive, Share
from emorec_train.model.config import ModelConfig

Rate = Annotated[float, msgspec.Meta(gt=0.0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0.0)]

ClassWeights = Literal["none", "effective_number"]
Precision = Literal["float32", "bfloat16", "float16"]


class EncoderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an encoder is trained from scratch.

    Attributes:
        steps: Optimiser steps; 0 leaves the encoder as it is (pretrained and frozen).
        batch: Frames or chunks in a step.
        learning_rate: Its peak.
        weight_decay: AdamW's.
    """

    steps: Count
    batch: Positive
    learning_rate: Rate
    weight_decay: Amount = 0.05


class FusionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the fusion is trained on frozen encoders.

    Attributes:
        epochs: Passes over the training windows.
        batch: Windows in a step.
        learning_rate: Its peak.
        weight_decay: AdamW's.
        label_smoothing: Share of the target spread over all classes.
        text_weight: Weight of the text-guided loss beside cross-entropy.
        stream_dropout: Share of windows that lose a whole stream, for each stream.
        stretch_dropout: Share of windows that lose a stretch of a stream, for each stream.
        feature_noise: Standard deviation of noise on the features, relative to their own.
        time_jitter: Most steps by which sound is shifted against the picture, either way.
        class_weights: ``effective_number`` weighs each class by Cui et al., CVPR 2019.
        effective_beta: Their beta; nearer to 1, rare classes weigh more.
        focal_gamma: Exponent of the focal loss (Lin et al., ICCV 2017); 0 is cross-entropy.
        logit_adjustment: Factor tau on the log of the class shares that is added to the logits while training
            (Menon et al., ICLR 2021), so that the model answers as if classes were equally frequent.
        text_temperature: Where the learnable temperature of the text-guided loss starts; 0.07 is CLIP's.
        accumulation: Parts that a batch is cut into, one after the other in memory; the gradient is the same.
        largest_gradient: Gradients are scaled down to this norm.
        warm_up: Share of the steps over which the learning rate rises; a cosine falls to 0 after it.
        ema: Decay of the moving average of the weights, which is validated and kept instead; 0 has none.
        patience: Epochs without a better validation macro F1 after which training stops; 0 never stops early.
        precision: Of the forward pass (autocast); ``float16`` scales the loss.
    """

    epochs: Positive
    batch: Positive
    learning_rate: Rate
    weight_decay: Amount = 0.01
    label_smoothing: Share = 0.1
    text_weight: Amount = 0.2
    stream_dropout: Share = 0.1
    stretch_dropout: Share = 0.2
    feature_noise: Amount = 0.1
    time_jitter: Count = 0
    class_weights: ClassWeights = "none"
    effective_beta: Share = 0.9999
    focal_gamma: Amount = 0.0
    logit_adjustment: Amount = 0.0
    text_temperature: Rate = 0.07
    accumulation: Positive = 1
    largest_gradient: Rate = 1.0
    warm_up: Share = 0.1
    ema: Share = 0.0
    patience: Count = 0
    precision: Precision = "float32"


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model and how it is trained.

    Attributes:
        model: The configuration.
        clips: Generated clips in the training split; validation and test have a fifth of that each.
        clip_seconds: Length of a generated clip.
        faces: Generated people, none of whom is in a clip, each showing every class, for the visual encoder's
            first stage; 0 takes the training clips, whose few people it learns by heart.
        vision: First stage, visual encoder.
        audio: First stage, audio encoder.
        fusion: Second stage.
    """

    model: ModelConfig
    clips: Positive
    clip_seconds: Rate
    faces: Count = 0
    vision: EncoderSettings
    audio: EncoderSettings
    fusion: FusionSettings
