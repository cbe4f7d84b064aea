"""A model of the real classes that is small enough for tests."""

from __future__ import annotations

import msgspec
import torch
from torch import Tensor

from emorec_rt.bundle.manifest import Audio, Grid, Preprocessing, Vision, Window
from emorec_rt.constants import EXPRESSIONS
from emorec_train.model.config import (
    CLIP_MEAN,
    CLIP_STD,
    AudioConfig,
    FusionConfig,
    Mode,
    ModelConfig,
    TextConfig,
    VisionConfig,
)

STEPS, PER_STEP, FRAME_WIDTH, TOKEN_WIDTH = 12, 2, 16, 24


def config(mode: Mode = "both", *, causal: bool = False) -> ModelConfig:
    return ModelConfig(
        labels=EXPRESSIONS,
        preprocessing=Preprocessing(
            grid=Grid(),
            window=Window(steps=STEPS, stride=6, tokens_per_step=PER_STEP),
            vision=Vision(crop_size=32, mean=CLIP_MEAN, std=CLIP_STD, embedding_dim=FRAME_WIDTH),
            audio=Audio(chunk_tokens=20, context_tokens=5, embedding_dim=TOKEN_WIDTH),
        ),
        vision=VisionConfig(image_size=32, patch_size=16, width=32, layers=1, heads=2, embed_dim=FRAME_WIDTH),
        text=TextConfig(context_length=16, width=16, layers=1, heads=2),
        audio=AudioConfig(
            width=TOKEN_WIDTH,
            layers=1,
            heads=2,
            intermediate=32,
            conv_channels=(8,) * 7,
            position_kernel=4,
            position_groups=2,
        ),
        fusion=FusionConfig(mode=mode, width=16, tcn_layers=3, causal=causal, heads=2, head_width=8),
    )


def with_labels(model: ModelConfig, labels: tuple[str, ...]) -> ModelConfig:
    return msgspec.structs.replace(model, labels=labels)


def feeds(batch: int = 2, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "frame_embeddings": torch.randn(batch, STEPS, FRAME_WIDTH, generator=generator),
        "frame_mask": torch.ones(batch, STEPS),
        "audio_tokens": torch.randn(batch, STEPS * PER_STEP, TOKEN_WIDTH, generator=generator),
        "audio_mask": torch.ones(batch, STEPS * PER_STEP),
    }
