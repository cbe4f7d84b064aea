"""Run clips through the FP32 graphs as serving would, and note the range of every activation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np

from emorec_calib.observe import ObservingEngine
from emorec_calib.ranges import Ranges, Source
from emorec_calib.sanity import MIN_CHUNKS, MIN_FRAMES, Witness, check_sample
from emorec_rt import __version__
from emorec_rt.batching import Item
from emorec_rt.faces import FaceCropper, FaceDetector
from emorec_rt.manifest import GraphName, Preprocessing, expected_tensors
from emorec_rt.media import open_media
from emorec_rt.media.types import MediaItem
from emorec_rt.window import Window
from emorec_rt.windows import iter_windows

_LIBRARIES: Final = ("onnxruntime", "onnx", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class CalibrationClip:
    """One clip.

    Attributes:
        name: File name, or seed.
        items: Frames and samples; read once.
        has_video: Whether there are frames among them.
        has_sound: Whether there are samples among them.
    """

    name: str
    items: Iterable[MediaItem]
    has_video: bool = True
    has_sound: bool = True


def media_clips(paths: Sequence[Path]) -> Iterator[CalibrationClip]:
    """Open recordings one after the other; each is closed before the next.

    Raises:
        MediaError: A file can't be read.
    """
    for path in paths:
        with open_media(path) as reader:
            yield CalibrationClip(path.name, reader, reader.has_video, reader.has_sound)


def collect(
    graphs: Mapping[GraphName, Path],
    spec: Preprocessing,
    classes: int,
    clips: Iterable[CalibrationClip],
    *,
    source: Source,
    method: str = "minmax",
    seed: int = 0,
) -> Ranges:
    """Collect ranges. Memory doesn't grow with the number or the length of clips.

    Args:
        graphs: The FP32 file of each graph.
        spec: The preprocessing that they were trained behind.
        classes: Logits of the fusion.
        clips: What to run.
        source: Generated clips or recordings.
        method: One of ``METHODS``.
        seed: Of the choice of clips, for the record.

    Raises:
        CalibrationError: The clips are too few, constant or noise.
        MediaError: A clip can't be read.
    """
    tensors = expected_tensors(spec, classes)
    engines = {name: ObservingEngine(path, *tensors[name], method) for name, path in graphs.items()}
    vision = Witness(engines["vision"], MIN_FRAMES, "faces")
    audio = Witness(engines["audio"], MIN_CHUNKS, "chunks of sound")
    names, windows = [], 0
    detector = FaceDetector()
    for clip in clips:
        names.append(clip.name)
        for window in _windows(clip, spec, vision, audio, detector):
            engines["fusion"].run(masked_feeds(window))
            windows += 1
    check_sample(vision, audio, windows)
    return Ranges(
        method=method,
        source=source,
        clips=tuple(names),
        data_sha256=hashlib.sha256((vision.sha256 + audio.sha256).encode()).hexdigest(),
        seed=seed,
        preprocessing=spec,
        versions={"emorec": __version__, **{library: version(library) for library in _LIBRARIES}},
        graphs={name: engine.ranges() for name, engine in engines.items()},
    )


def _windows(
    clip: CalibrationClip, spec: Preprocessing, vision: Witness, audio: Witness, detector: FaceDetector
) -> Iterator[Window]:
    cropper = FaceCropper(
        "auto",
        detector=detector,
        size=spec.vision.crop_size,
        margin=spec.vision.margin,
        interpolation=spec.vision.interpolation,
    )
    return iter_windows(
        clip.items, spec, vision, audio, cropper, has_video=clip.has_video, has_sound=clip.has_sound
    )


def masked_feeds(window: Window) -> Item:
    """A window as a batch of three: as it is, without its faces, without its sound."""
    batch = {name: np.stack([array] * 3) for name, array in window.feeds().items()}
    for row, stream in ((1, ("frame_embeddings", "frame_mask")), (2, ("audio_tokens", "audio_mask"))):
        for name in stream:
            batch[name][row] = 0.0
    return batch
