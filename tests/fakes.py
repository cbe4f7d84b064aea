"""Engines whose answer is plain arithmetic, so that the chain around them can be checked exactly."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import (
    Audio,
    Grid,
    Preprocessing,
    TensorSpec,
    Vision,
    Window,
    expected_tensors,
)
from emorec_rt.constants import TOKEN_HOP_SAMPLES
from emorec_rt.engines.base import Engine, check_feeds

CLASSES = 3


def preprocessing(
    *, rate_hz: float | None = 25.0, steps: int = 12, stride: int = 5, per_step: int = 2
) -> Preprocessing:
    return Preprocessing(
        grid=Grid(rate_hz=rate_hz),
        window=Window(steps=steps, stride=stride, tokens_per_step=per_step),
        vision=Vision(crop_size=8, mean=(0.5,) * 3, std=(0.5,) * 3, embedding_dim=2),
        audio=Audio(chunk_tokens=20, context_tokens=5, embedding_dim=2),
    )


class _Fake(Engine):
    def __init__(self, graph: str, spec: Preprocessing) -> None:
        self.inputs: tuple[TensorSpec, ...]
        self.outputs: tuple[TensorSpec, ...]
        self.inputs, self.outputs = expected_tensors(spec, CLASSES)[graph]
        self.batches: list[int] = []

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        check_feeds(self.inputs, feeds)
        self.batches.append(len(feeds[self.inputs[0].name]))
        return {self.outputs[0].name: self.answer(feeds).astype(np.float32)}

    def answer(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        raise NotImplementedError


class FakeVision(_Fake):
    """A frame's embedding: its first pixel's red, and one."""

    def __init__(self, spec: Preprocessing) -> None:
        super().__init__("vision", spec)

    def answer(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        red = feeds["frames"][:, 0, 0, 0]
        return np.stack([red, np.ones_like(red)], axis=1)


class FakeAudio(_Fake):
    """A token: the sample at its start, and one."""

    def __init__(self, spec: Preprocessing) -> None:
        super().__init__("audio", spec)

    def answer(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        first = feeds["samples"][:, : 20 * TOKEN_HOP_SAMPLES : TOKEN_HOP_SAMPLES]
        return np.stack([first, np.ones_like(first)], axis=2)


class FakeFusion(_Fake):
    """A step's logits: its frame's red, its first token's sample, and how many masks are set."""

    def __init__(self, spec: Preprocessing) -> None:
        super().__init__("fusion", spec)

    def answer(self, feeds: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        frames, tokens = feeds["frame_embeddings"], feeds["audio_tokens"]
        per_step = tokens.shape[1] // frames.shape[1]
        masks = feeds["frame_mask"] + feeds["audio_mask"][:, ::per_step]
        return np.stack([frames[..., 0], tokens[:, ::per_step, 0], masks], axis=2)
