"""Named settings: the demo that trains in minutes on two cores, and the reference at full size."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from emorec_rt.manifest import Audio, Grid, Positive, Preprocessing, Share, Vision, Window
from emorec_rt.signal import EXPRESSIONS
from emorec_train.model.config import (
    CLIP_MEAN,
    CLIP_STD,
    AudioConfig,
    FusionConfig,
    ModelConfig,
    TextConfig,
    VisionConfig,
)

Rate = Annotated[float, msgspec.Meta(gt=0.0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Below1 = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]
NotNegative = Annotated[float, msgspec.Meta(ge=0.0)]


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
    weight_decay: float = 0.05


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
        class_weights: ``balanced`` weighs rare classes up, see ``imbalance.balanced_weights``.
        balance_beta: Its strength.
        logit_adjustment: Scale of the log prior that is added to the logits while training; 1 is the paper's.
        focal_gamma: Of the focal loss; 0 is cross-entropy.
        accumulate: Batches whose gradients make one update.
        average_decay: Of an exponential moving average of the weights, which is then what is scored and kept;
            0 keeps the weights themselves.
        patience: Epochs without a better validation macro F1 after which training ends; 0 never ends early.
    """

    epochs: Positive
    batch: Positive
    learning_rate: Rate
    weight_decay: float = 0.01
    label_smoothing: Share = 0.1
    text_weight: float = 0.2
    stream_dropout: Share = 0.1
    stretch_dropout: Share = 0.2
    feature_noise: float = 0.1
    class_weights: Literal["equal", "balanced"] = "equal"
    balance_beta: Below1 = 0.999
    logit_adjustment: float = 0.0
    focal_gamma: NotNegative = 0.0
    accumulate: Positive = 1
    average_decay: Below1 = 0.0
    patience: Count = 0


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
    clip_seconds: float
    faces: Count = 0
    vision: EncoderSettings
    audio: EncoderSettings
    fusion: FusionSettings


def _preprocessing(crop_size: int, frame_width: int, token_width: int, margin: float = 0.3) -> Preprocessing:
    return Preprocessing(
        grid=Grid(),
        window=Window(),
        vision=Vision(
            crop_size=crop_size, margin=margin, mean=CLIP_MEAN, std=CLIP_STD, embedding_dim=frame_width
        ),
        audio=Audio(embedding_dim=token_width),
    )


DEMO: Final = Preset(
    model=ModelConfig(
        labels=EXPRESSIONS,
        preprocessing=_preprocessing(96, 128, 96, margin=0.1),
        vision=VisionConfig(
            image_size=96, width=16, layers=(1, 1, 1, 1), heads=8, embed_dim=128, quick_gelu=False
        ),
        text=TextConfig(context_length=16, width=64, layers=1, heads=2),
        audio=AudioConfig(
            width=96,
            layers=2,
            heads=4,
            intermediate=384,
            conv_channels=(64,) * 7,
            position_kernel=16,
            position_groups=4,
        ),
        fusion=FusionConfig(width=64, head_width=64),
    ),
    clips=300,
    clip_seconds=6.0,
    faces=1000,
    vision=EncoderSettings(steps=700, batch=64, learning_rate=2e-3),
    audio=EncoderSettings(steps=300, batch=8, learning_rate=1e-3),
    fusion=FusionSettings(epochs=12, batch=32, learning_rate=1e-3),
)
"""Small encoders of the same classes, from scratch on generated clips; made for two cores and minutes."""

REFERENCE: Final = Preset(
    model=ModelConfig(
        labels=EXPRESSIONS,
        preprocessing=_preprocessing(224, 512, 768),
        vision=VisionConfig(pretrained="ViT-B-32:openai"),
        text=TextConfig(),
        audio=AudioConfig(pretrained="facebook/wav2vec2-base-960h"),
        fusion=FusionConfig(),
    ),
    clips=300,
    clip_seconds=6.0,
    vision=EncoderSettings(steps=0, batch=64, learning_rate=1e-5),
    audio=EncoderSettings(steps=0, batch=8, learning_rate=1e-5),
    fusion=FusionSettings(epochs=15, batch=16, learning_rate=1e-4, weight_decay=1e-4),
)
"""The paper's size: frozen CLIP ViT-B/32 and wav2vec 2.0 base, whose weights are downloaded on first use."""

PRESETS: Final = {"demo": DEMO, "reference": REFERENCE}
