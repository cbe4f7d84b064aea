"""Every signal constant, with its unit. Whatever can be derived is derived here by exact division."""

from __future__ import annotations

from typing import Final

SAMPLE_RATE_HZ: Final = 16_000
"""Sound is mono float32 in [-1, 1] at this rate everywhere past the decoder (wav2vec 2.0's rate)."""

TOKEN_HOP_SAMPLES: Final = 320
"""Samples from one wav2vec 2.0 token to the next: the product of its conv strides 5*2*2*2*2*2*2."""

TOKEN_RECEPTIVE_SAMPLES: Final = 400
"""Samples that one wav2vec 2.0 token sees: the receptive field of its conv stack."""

TOKEN_RATE_HZ: Final = SAMPLE_RATE_HZ // TOKEN_HOP_SAMPLES
"""50 tokens a second."""

CROP_SIZE: Final = 224
"""Side of the square face crop in pixels (CLIP's input size)."""

EXPRESSIONS: Final = (
    "Neutral",
    "Anger",
    "Disgust",
    "Fear",
    "Happiness",
    "Sadness",
    "Surprise",
    "Other",
)
"""The ABAW EXPR classes in the challenge's order. Other data sets differ: map by name, never by index."""

assert SAMPLE_RATE_HZ % TOKEN_HOP_SAMPLES == 0  # noqa: S101 - a broken constant must not import


def chunk_samples(tokens: int) -> int:
    """Samples that make wav2vec 2.0's conv stack give exactly ``tokens`` tokens."""
    return (tokens - 1) * TOKEN_HOP_SAMPLES + TOKEN_RECEPTIVE_SAMPLES
