"""Settings of a training run: one validated structure, stored in ``train/presets/*.toml``."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from emorec_rt.bundle.manifest import Positive, Share
from emorec_train.model.config import ModelConfig
from emorec_train.settings.stills import StillSettings

Rate = Annotated[float, msgspec.Meta(gt=0.0)]
Count = Annotated[int, msgspec.Meta(ge=0)]
Amount = Annotated[float, msgspec.Meta(ge=0.0)]

Below1 = Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)]

ClassWeights = Literal["equal", "balanced"]
Precision = Literal["float32", "bfloat16", "float16"]


class EncoderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training of an encoder.

    Attributes:
        steps: Optimiser steps; 0 leaves the encoder as it is (pretrained and frozen).
        batch: Frames or chunks in a step.
        learning_rate: Its peak.
        weight_decay: AdamW's.
        last_blocks: How many of its last blocks learn, the rest being frozen; 0 for the whole encoder.
        lora_rank: Rank of the low-rank updates (LoRA, through peft) that learn in place of its weights and
            are merged into them afterwards; 0 for none. All blocks get them, or ``last_blocks``.
    """

    steps: Count
    batch: Positive
    learning_rate: Rate
    weight_decay: Amount = 0.05
    last_blocks: Count = 0
    lora_rank: Count = 0

    @property
    def partial(self) -> bool:
        """True if only a part of the encoder learns."""
        return bool(self.last_blocks or self.lora_rank)


class FusionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Training of the fusion on frozen encoders.

    Attributes:
        epochs: Passes over the training windows.
        batch: Windows in a step.
        learning_rate: Its peak.
        weight_decay: AdamW's.
        label_smoothing: Share of the target spread over all classes.
        text_weight: Weight of the text-guided loss beside cross-entropy.
        valence_arousal_weight: Weight of 1 - CCC beside it, where the model gives valence and arousal.
        action_units_weight: Weight of binary cross-entropy beside it, where it gives action units.
        stream_dropout: Share of windows that lose a whole stream, for each stream.
        stretch_dropout: Share of windows that lose a stretch of a stream, for each stream.
        feature_noise: Standard deviation of noise on the features, relative to their own.
        time_jitter: Most steps by which sound is shifted against the picture, either way.
        clean_start: Share of the epochs, the first ones, in which nothing is dropped, shaken or shifted: what
            differs over time in both streams is found sooner while both are whole.
        class_weights: ``balanced`` weighs rare classes up, see ``imbalance.balanced_weights``.
        balance_beta: Its strength; ``None`` takes the one that fits the number of training clips.
        logit_adjustment: Scale of the log prior that is added to the logits while training; 1 is the paper's.
        focal_gamma: Of the focal loss; 0 is cross-entropy.
        text_temperature: Where the learnable temperature of the text-guided loss starts; 0.07 is CLIP's.
        accumulate: Batches whose gradients make one update.
        largest_gradient: Gradients are scaled down to this norm.
        warm_up: Share of the updates over which the learning rate rises; a cosine falls to 0 after it.
        average_decay: Decay of an exponential moving average of the weights, which is then scored and kept;
            it rises from 0.1 over the first updates. 0 keeps the weights themselves.
        patience: Epochs without a better validation macro F1 after which training ends; 0 never ends early.
        precision: Of the forward pass (autocast); ``float16`` scales the loss.
    """

    epochs: Positive
    batch: Positive
    learning_rate: Rate
    weight_decay: Amount = 0.01
    label_smoothing: Share = 0.1
    text_weight: Amount = 0.2
    valence_arousal_weight: Amount = 1.0
    action_units_weight: Amount = 1.0
    stream_dropout: Share = 0.1
    stretch_dropout: Share = 0.2
    feature_noise: Amount = 0.1
    time_jitter: Count = 0
    clean_start: Below1 = 0.0
    class_weights: ClassWeights = "equal"
    balance_beta: Below1 | None = None
    logit_adjustment: Amount = 0.0
    focal_gamma: Amount = 0.0
    text_temperature: Rate = 0.07
    accumulate: Positive = 1
    largest_gradient: Rate = 1.0
    warm_up: Share = 0.1
    average_decay: Below1 = 0.0
    patience: Count = 0
    precision: Precision = "float32"


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model and its training.

    Attributes:
        model: The configuration.
        clips: Generated clips in the training split; validation and test have a fifth of that each.
        clip_seconds: Length of a generated clip.
        faces: Generated people, none of whom is in a clip, each showing every class, for the visual encoder's
            first stage; 0 takes the training clips, whose few people it learns by heart.
        vision: First stage, visual encoder.
        audio: First stage, audio encoder.
        fusion: Second stage.
        stills: Stage for labelled still pictures, ``train/pictures.py``.
    """

    model: ModelConfig
    clips: Positive
    clip_seconds: Rate
    faces: Count = 0
    vision: EncoderSettings
    audio: EncoderSettings
    fusion: FusionSettings
    stills: StillSettings = StillSettings()
