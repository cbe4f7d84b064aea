"""Run clips through the FP32 graphs as serving would, and note the range of every activation."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_calib.excerpts import Excerpt, cut
from emorec_calib.observe import ObservingEngine
from emorec_calib.ranges import Ranges, Source
from emorec_calib.sanity import MIN_CHUNKS, MIN_FRAMES, Look, Witness, check_sample
from emorec_rt import __version__
from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import GraphName, Preprocessing, expected_tensors
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.engines.batching import Item
from emorec_rt.faces import FaceCropper, FaceDetector, FaceMode
from emorec_rt.faces.cropped import cropped_items
from emorec_rt.media import open_media
from emorec_rt.media.types import MediaItem
from emorec_rt.windows.iterate import iter_windows
from emorec_rt.windows.window import Window

_LIBRARIES: Final = ("onnxruntime", "onnx", "numpy", "opencv-python-headless")


@dataclass(frozen=True, slots=True)
class CalibrationClip:
    """One clip.

    Attributes:
        name: File name, or seed.
        items: Frames and samples; read once.
        has_video: Whether there are frames among them.
        has_sound: Whether there are samples among them.
        identity: Tells the clip from any other, for going on after an interruption.
        faces: How the cropper takes its frames: ``off`` where they are face crops already.
        excerpts: Half-open stretches in seconds from its beginning that are run, each for itself; empty
            runs the whole clip.
    """

    name: str
    items: Iterable[MediaItem]
    has_video: bool = True
    has_sound: bool = True
    identity: str = ""
    faces: FaceMode = "auto"
    excerpts: tuple[Excerpt, ...] = ()

    def parts(self) -> Iterator[Iterable[MediaItem]]:
        """Clips to run, one after the other; each has to be read before the next."""
        if not self.excerpts:
            return iter([self.items])
        return cut(self.items, self.excerpts, has_video=self.has_video)


def media_clips(
    paths: Sequence[Path], excerpts: Mapping[Path, tuple[Excerpt, ...]] | None = None
) -> Iterator[CalibrationClip]:
    """Open recordings one after the other; each is closed before the next.

    Args:
        paths: The files.
        excerpts: Stretches of each, from ``excerpts.choose``; ``None`` takes every file as a whole.

    Raises:
        MediaError: A file can't be read.
    """
    for path in paths:
        chosen = () if excerpts is None else excerpts[path]
        with open_media(path) as reader:
            yield CalibrationClip(
                path.name,
                reader,
                reader.has_video,
                reader.has_sound,
                file_identity(path, chosen),
                excerpts=chosen,
            )


def file_identity(path: Path, excerpts: tuple[Excerpt, ...] = ()) -> str:
    """Identity of a recording: place, size, time of change, and the parts that are taken."""
    status = path.stat()
    starts = "".join(f" {start:g}" for start, _ in excerpts)
    return f"{path.resolve()} {status.st_size} {status.st_mtime_ns}{starts}"


def collect(
    graphs: Mapping[GraphName, Path],
    spec: Preprocessing,
    classes: int,
    clips: Iterable[CalibrationClip],
    *,
    tasks: Tasks = NO_TASKS,
    source: Source,
    method: str = "max",
    seed: int = 0,
) -> Ranges:
    """Collect ranges in one go; see ``Collection``.

    Args:
        graphs: The FP32 file of each graph.
        spec: The preprocessing that they were trained behind.
        classes: Logits of the fusion.
        clips: What to run.
        tasks: What the fusion gives beside them.
        source: Generated clips or recordings.
        method: One of ``METHODS``.
        seed: Of the choice of clips, for the record.

    Raises:
        CalibrationError: The clips are too few, constant or noise.
        MediaError: A clip can't be read.
    """
    collection = Collection(graphs, spec, classes, method, tasks)
    for clip in clips:
        collection.add(clip)
    return collection.ranges(source, seed)


class Progress(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Progress of a collection, beside what its engines have seen.

    Attributes:
        clips: Names of the clips so far.
        identities: Their identities.
        windows: Windows in them.
        frames: What the faces looked like.
        chunks: What the sound looked like.
    """

    clips: list[str] = []
    identities: list[str] = []
    windows: int = 0
    frames: Look = msgspec.field(default_factory=Look)
    chunks: Look = msgspec.field(default_factory=Look)


class Collection:
    """Runs clips through the FP32 graphs. Memory doesn't grow with the number or the length of clips.

    Args:
        graphs: The FP32 file of each graph.
        spec: The preprocessing that they were trained behind.
        classes: Logits of the fusion.
        method: One of ``METHODS``.
        tasks: What the fusion gives beside the logits.
    """

    def __init__(
        self,
        graphs: Mapping[GraphName, Path],
        spec: Preprocessing,
        classes: int,
        method: str,
        tasks: Tasks = NO_TASKS,
    ) -> None:
        tensors = expected_tensors(spec, classes, tasks)
        self._spec = spec
        self._method = method
        self._engines = {name: ObservingEngine(path, *tensors[name], method) for name, path in graphs.items()}
        self._vision = Witness(self._engines["vision"], MIN_FRAMES, "faces")
        self._audio = Witness(self._engines["audio"], MIN_CHUNKS, "chunks of sound")
        self._detector = FaceDetector()
        self._hashes = {name: sha256_of(path) for name, path in graphs.items()}
        self.progress = Progress(frames=self._vision.look, chunks=self._audio.look)

    @property
    def key(self) -> str:
        """Hash of everything but the clips that the ranges depend on."""
        parts = (self._hashes, self._spec, self._method, _versions())
        return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()

    def add(self, clip: CalibrationClip) -> None:
        """Run one clip.

        Raises:
            MediaError: It can't be read.
            CalibrationError: An activation isn't finite.
        """
        for part in clip.parts():
            for window in self._windows(clip, part):
                self._engines["fusion"].run(masked_feeds(window))
                self.progress.windows += 1
        self.progress.clips.append(clip.name)
        self.progress.identities.append(clip.identity)

    def ranges(self, source: Source, seed: int = 0) -> Ranges:
        """The ranges of everything so far.

        Raises:
            CalibrationError: The clips are too few, constant or noise.
        """
        check_sample(self._vision, self._audio, self.progress.windows)
        hashes = self._vision.look.sha256 + self._audio.look.sha256
        return Ranges(
            method=self._method,
            source=source,
            clips=tuple(self.progress.clips),
            data_sha256=hashlib.sha256(hashes.encode()).hexdigest(),
            seed=seed,
            preprocessing=self._spec,
            versions=_versions(),
            graphs={name: engine.ranges() for name, engine in self._engines.items()},
        )

    def state(self) -> dict[str, NDArray[Any]]:
        """Ranges of the engines, as arrays."""
        return {
            f"{name}.{key}": array
            for name, engine in self._engines.items()
            for key, array in engine.state().items()
        }

    def restore(self, progress: Progress, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on where another collection with the same ``key`` stood."""
        for name, engine in self._engines.items():
            prefix = f"{name}."
            engine.restore({key.removeprefix(prefix): state[key] for key in state if key.startswith(prefix)})
        self._vision.look, self._audio.look = progress.frames, progress.chunks
        self.progress = progress

    def _windows(self, clip: CalibrationClip, items: Iterable[MediaItem]) -> Iterator[Window]:
        vision = self._spec.vision
        cropper = FaceCropper(
            clip.faces,
            detector=self._detector,
            size=vision.crop_size,
            margin=vision.margin,
            interpolation=vision.interpolation,
        )
        return iter_windows(
            cropped_items(items, cropper),
            self._spec,
            self._vision,
            self._audio,
            has_video=clip.has_video,
            has_sound=clip.has_sound,
        )


def _versions() -> dict[str, str]:
    return {"emorec": __version__, **{library: version(library) for library in _LIBRARIES}}


def masked_feeds(window: Window) -> Item:
    """A window as a batch of three: as it is, without its faces, without its sound."""
    batch = {name: np.stack([array] * 3) for name, array in window.feeds().items()}
    for row, stream in ((1, ("frame_embeddings", "frame_mask")), (2, ("audio_tokens", "audio_mask"))):
        for name in stream:
            batch[name][row] = 0.0
    return batch
