"""The whole chain on one clip, from frames and sound to logits for each step, with any set of engines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Decoding, GraphName, Preprocessing
from emorec_rt.engines.base import Engine
from emorec_rt.faces import Crop, FaceCropper, FaceDetector, FaceMode
from emorec_rt.faces.cropped import cropped_items
from emorec_rt.media.types import Frame, MediaItem, Samples
from emorec_rt.windows.decode import Stitcher, side_by_side
from emorec_rt.windows.iterate import iter_windows
from emorec_train.data.labels import ClipLabels, no_measures
from emorec_train.data.source import LabelledClip
from emorec_train.evaluation.decoding import decode, predict

MAX_CLIP_SECONDS: Final = 30.0
"""Of a longer clip the beginning is taken: its faces stay in memory while every variant runs on them."""

_SLACK_SECONDS: Final = 1.0
"""Longest time that the sound of a file may lie behind its frames."""


class RememberingCropper(FaceCropper):
    """Finds the faces of a clip once, so that every variant is fed the same crops, and quickly."""

    def __init__(self, spec: Preprocessing, detector: FaceDetector, mode: FaceMode = "auto") -> None:
        super().__init__(
            mode,
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


@dataclass(frozen=True, slots=True)
class Sample:
    """A clip whose frames have given way to the faces in them, so that it can be run again and again.

    Attributes:
        items: Frames of a single pixel, and sound.
        cropper: Remembers the faces.
        truth: The clip's labels.
        frame_times_seconds: float64 ``[F]``, of all frames, missing ones too.
    """

    items: tuple[MediaItem, ...]
    cropper: RememberingCropper
    truth: ClipLabels
    frame_times_seconds: NDArray[np.float64]

    def truth_at(self, times_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """The true labels at some times."""
        return self.truth.at(times_seconds, self.frame_times_seconds)

    def row_times(self, step_times_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Times of the runtime's rows: those of the frames, or of the steps where there is only sound."""
        return self.frame_times_seconds if len(self.frame_times_seconds) else step_times_seconds

    def rows(
        self, times_seconds: NDArray[np.float64], logits: NDArray[np.float32], decoding: Decoding
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Labels of the rows that the runtime writes, and the true ones, int64 ``[R]`` each.

        Args:
            times_seconds: float64 ``[N]``, times of the steps.
            logits: float32 ``[N, C]``, stitched.
            decoding: Smoothing and prior correction of the bundle.
        """
        at_seconds = self.row_times(times_seconds)
        return predict(times_seconds, logits, decoding, at_seconds), self.truth_at(at_seconds)

    def measures(
        self, times_seconds: NDArray[np.float64], outputs: NDArray[np.float32], decoding: Decoding
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What the tasks give at the rows that the runtime writes, and the truth.

        Args:
            times_seconds: float64 ``[N]``, times of the steps.
            outputs: float32 ``[N, K]``, stitched, without the logits.
            decoding: The bundle's.

        Returns:
            float32 ``[R, K]``, action units as logits, and ``[R, M]``, NaN where a label is missing.
        """
        at_seconds = self.row_times(times_seconds)
        smoothing = Decoding(smoothing_seconds=decoding.smoothing_seconds)
        truth = self.truth.measures_at(at_seconds, self.frame_times_seconds)
        given = decode(times_seconds, outputs, smoothing, at_seconds)
        return given, no_measures(len(given)) if truth is None else truth


def take_in(
    clip: LabelledClip, spec: Preprocessing, detector: FaceDetector, seconds: float = MAX_CLIP_SECONDS
) -> Sample:
    """Find the faces of a clip's first seconds; one whole frame is in memory at a time.

    Raises:
        MediaError: The clip can't be read.
    """
    cropper = RememberingCropper(spec, detector, clip.faces)
    items: list[MediaItem] = []
    for item in beginning(clip.items, seconds):
        if isinstance(item, Frame):
            cropper.process(item)
            items.append(Frame(item.index, item.pts_seconds, item.pixels[:1, :1].copy()))
        else:
            items.append(item)
    times = [item.pts_seconds for item in items if not isinstance(item, Samples)]
    return Sample(tuple(items), cropper, clip.truth, np.array(times, np.float64))


def beginning(items: Iterable[MediaItem], seconds: float) -> Iterator[MediaItem]:
    """Items that start in the first seconds of a clip; decoding ends soon after."""
    end: float | None = None
    for item in items:
        if end is None:
            end = item.pts_seconds + seconds
        if item.pts_seconds < end:
            yield item
        elif not isinstance(item, Samples) and item.pts_seconds >= end + _SLACK_SECONDS:
            return


def step_logits(
    sample: Sample, spec: Preprocessing, engines: Mapping[GraphName, Engine]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Run the chain.

    Args:
        sample: A clip.
        spec: The preprocessing.
        engines: One for each graph.

    Returns:
        float64 ``[N]`` presentation times of the clip's steps, and their stitched logits, float32 ``[N, C]``;
        ``N`` is 0 for a clip without a window.
    """
    times, outputs = step_outputs(sample, spec, engines)
    return times, outputs[:, : engines["fusion"].outputs[0].shape[-1]]


def step_outputs(
    sample: Sample, spec: Preprocessing, engines: Mapping[GraphName, Engine]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Run the chain, see ``step_logits``; what the tasks give stands behind the logits, ``[N, C + K]``."""
    stitcher = Stitcher(spec.window.steps)
    settled = []
    for window in iter_windows(
        cropped_items(sample.items, sample.cropper),
        spec,
        engines["vision"],
        engines["audio"],
        has_video=len(sample.frame_times_seconds) > 0,
        has_sound=any(isinstance(item, Samples) for item in sample.items),
    ):
        feeds = {name: array[None] for name, array in window.feeds().items()}
        given = engines["fusion"].run(feeds)
        outputs = side_by_side([given[tensor.name][0] for tensor in engines["fusion"].outputs])
        settled.append(stitcher.add(window, outputs))
    if not settled:
        return np.zeros(0), np.zeros((0, 0), np.float32)
    return (
        np.concatenate([steps.times_seconds for steps in settled]),
        np.concatenate([steps.logits for steps in settled]),
    )
