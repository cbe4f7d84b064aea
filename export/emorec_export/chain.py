"""The whole chain on one clip, from frames and sound to logits for each step, with any set of engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from emorec_rt.decode import Stitcher
from emorec_rt.engines.base import Engine
from emorec_rt.faces import Crop, FaceCropper, FaceDetector
from emorec_rt.manifest import GraphName, Preprocessing
from emorec_rt.media.types import Frame, MediaItem, Samples
from emorec_rt.windows import iter_windows


class RememberingCropper(FaceCropper):
    """Finds the faces of a clip once, so that every variant is fed the same crops, and quickly."""

    def __init__(self, spec: Preprocessing, detector: FaceDetector) -> None:
        super().__init__(
            "auto",
            detector=detector,
            size=spec.vision.crop_size,
            margin=spec.vision.margin,
            interpolation=spec.vision.interpolation,
        )
        self._crops: dict[int, Crop] = {}

    def process(self, frame: Frame) -> Crop:
        """See ``FaceCropper.process``."""
        if frame.index not in self._crops:
            self._crops[frame.index] = super().process(frame)
        return self._crops[frame.index]


def step_logits(
    items: Sequence[MediaItem],
    spec: Preprocessing,
    engines: Mapping[GraphName, Engine],
    cropper: FaceCropper,
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Run the chain.

    Args:
        items: A clip's frames and sound.
        spec: The preprocessing.
        engines: One for each graph.
        cropper: The clip's own.

    Returns:
        float64 ``[N]`` presentation times of the clip's steps, and their stitched logits, float32 ``[N, C]``.
    """
    stitcher = Stitcher(spec.window.steps)
    settled = []
    has_sound = any(isinstance(item, Samples) for item in items)
    has_video = not all(isinstance(item, Samples) for item in items)
    for window in iter_windows(
        items,
        spec,
        engines["vision"],
        engines["audio"],
        cropper,
        has_video=has_video,
        has_sound=has_sound,
    ):
        feeds = {name: array[None] for name, array in window.feeds().items()}
        settled.append(stitcher.add(window, engines["fusion"].run(feeds)["logits"][0]))
    return (
        np.concatenate([steps.times_seconds for steps in settled]),
        np.concatenate([steps.logits for steps in settled]),
    )
