"""The whole chain of a bundle, on a face that is held and a voice, both in memory.

Shapes: ``S`` side of a crop in pixels, ``N`` steps, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision, expected_tensors
from emorec_rt.engines.base import Engine
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.faces import Crop
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.windows.decode import Stitcher
from emorec_rt.windows.iterate import iter_windows
from emorec_train.features.windows import TorchEngine
from emorec_train.model.checkpoint import load_checkpoint

FACE_RATE_HZ = 5.0
"""Frames a second of a still face: the grid repeats them."""


class OnceForAll(Engine):
    """A vision engine that encodes a batch of equal crops once.

    Args:
        engine: What encodes.
    """

    def __init__(self, engine: Engine) -> None:
        self.inputs, self.outputs = engine.inputs, engine.outputs
        self._engine = engine

    def run(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """See ``Engine.run``."""
        frames = feeds["frames"]
        if len(frames) < 2 or not (frames == frames[0]).all():
            return self._engine.run(feeds)
        one = self._engine.run({"frames": frames[:1]})
        return {name: np.repeat(value, len(frames), axis=0) for name, value in one.items()}


class Chain:
    """The graphs of one bundle.

    Args:
        folder: The bundle; ``None`` is the default one.
        precision: Which variant; ``None`` takes the bundle's own.
        fusion: A checkpoint whose fusion takes the place of the bundle's.
    """

    def __init__(
        self, folder: Path | None = None, precision: Precision | None = None, fusion: Path | None = None
    ) -> None:
        bundle = open_bundle(folder)
        self.labels = bundle.manifest.labels
        self.spec = bundle.manifest.preprocessing
        self._bias = np.asarray(bundle.manifest.decoding.logit_bias or 0.0, np.float32)
        tensors = expected_tensors(self.spec, len(self.labels))
        precision = precision or bundle.manifest.precision
        self._engines: dict[GraphName, Engine] = {
            name: OrtEngine(bundle.graph_file(name, precision), *tensors[name]) for name in GRAPH_NAMES
        }
        self._engines["vision"] = OnceForAll(self._engines["vision"])
        if fusion is not None:
            module = load_checkpoint(fusion).fusion
            self._engines["fusion"] = TorchEngine(module, "fusion", self.spec, len(self.labels))

    def __call__(
        self, face: NDArray[np.uint8] | None, sound: NDArray[np.float32] | None, seconds: float
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Recognise a face that is held and a voice.

        Args:
            face: uint8 ``[S, S, 3]``; ``None`` for a clip without a picture.
            sound: float32, 16 kHz; ``None`` for a clip without sound.
            seconds: How long the face is held.

        Returns:
            float64 ``[N]`` times of the steps, and float32 ``[N, C]`` probabilities.
        """
        stitcher, settled = Stitcher(self.spec.window.steps), []
        for window in iter_windows(
            _items(face, sound, seconds),
            self.spec,
            self._engines["vision"],
            self._engines["audio"],
            has_video=face is not None,
            has_sound=sound is not None,
        ):
            feeds = {name: array[None] for name, array in window.feeds().items()}
            settled.append(stitcher.add(window, self._engines["fusion"].run(feeds)["logits"][0]))
        logits = np.concatenate([steps.logits for steps in settled]) + self._bias
        return np.concatenate([steps.times_seconds for steps in settled]), _softmax(logits)

    def mean(
        self, face: NDArray[np.uint8] | None, sound: NDArray[np.float32] | None, seconds: float
    ) -> NDArray[np.float32]:
        """Mean probabilities over the clip, float32 ``[C]``."""
        return np.asarray(self(face, sound, seconds)[1].mean(axis=0))


def _items(
    face: NDArray[np.uint8] | None, sound: NDArray[np.float32] | None, seconds: float
) -> Iterator[CroppedFrame | Samples]:
    if sound is not None:
        yield Samples(0.0, sound)
    if face is not None:
        for index in range(max(1, int(seconds * FACE_RATE_HZ))):
            yield CroppedFrame(index, index / FACE_RATE_HZ, Crop(face, None, 0.0))


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True), np.float32)
