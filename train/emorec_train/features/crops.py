"""Clips as the encoders see them: face crops and sound, made once by worker processes and kept on disk.

Faces are found and cropped by the runtime's own ``FaceCropper``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Vision
from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import MediaError, OutputError
from emorec_rt.faces import Crop, FaceCropper, FaceDetector
from emorec_rt.faces.cropped import CroppedFrame, cropped
from emorec_rt.media.types import Samples
from emorec_rt.windows.chunks import RESYNC_SAMPLES
from emorec_train.console import say, tracked
from emorec_train.data.labels import ClipLabels
from emorec_train.data.source import ClipSource, LabelledClip
from emorec_train.data.workers import map_ahead

_BLOCK = 64
"""Crops that are written at once; no more of a clip's pictures are in memory."""


@dataclass(frozen=True, slots=True)
class CroppedClip:
    """A clip as face crops and sound.

    Attributes:
        clip_id: The source's identity of it.
        frame_times_seconds: float64 ``[F]``.
        crops: uint8 ``[F, H, W, 3]``, mapped from disk; zeros where no face was found.
        found: bool ``[F]``, whether a face was found.
        samples: Its sound, a run for each stretch without a gap.
        truth: Its labels.
    """

    clip_id: str
    frame_times_seconds: NDArray[np.float64]
    crops: NDArray[np.uint8]
    found: NDArray[np.bool_]
    samples: tuple[Samples, ...]
    truth: ClipLabels

    def items(self) -> Iterator[CroppedFrame | Samples]:
        """Items for the runtime's window builder."""
        yield from self.samples
        for index, (time, found) in enumerate(
            zip(self.frame_times_seconds.tolist(), self.found, strict=True)
        ):
            yield CroppedFrame(index, time, Crop(self.crops[index] if found else None, None, 0.0))

    def labels_at(self, times_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """The label at each time, ``IGNORED`` where there is none."""
        return self.truth.at(times_seconds, self.frame_times_seconds)


def crop_clips(
    source: ClipSource,
    clip_ids: Sequence[str],
    spec: Vision,
    folder: Path,
    *,
    workers: int,
    label: str = "clips",
    keep: bool = True,
) -> Iterator[CroppedClip]:
    """Open, crop and keep clips, in order. One that can't be read is reported and left out.

    Args:
        source: The data set.
        clip_ids: Which of its clips.
        spec: Crop size and margin.
        folder: Where the crops go; each call has a folder of its own in it.
        workers: Processes; 1 works in this one.
        label: Of the progress bar.
        keep: Leave a clip's crops in ``folder`` when the next one is asked for.

    Raises:
        OutputError: ``folder`` can't take the crops.
        WorkerLostError: A process died.
    """
    try:
        own = Path(tempfile.mkdtemp(dir=folder))
    except OSError as error:
        raise OutputError(folder, f"can't hold the crops of clips: {error.strerror or error}") from error
    outcomes = map_ahead(partial(_record, source, spec, own), list(enumerate(clip_ids)), workers=workers)
    for outcome in tracked(outcomes, label, len(clip_ids)):
        for line in outcome.lines:
            say(line)
        if outcome.full:
            raise OutputError(folder, outcome.full)
        if outcome.readable:
            yield _load(own, outcome.index, clip_ids[outcome.index], source)
        if not keep:
            for file in (_crops_file(own, outcome.index), _rest_file(own, outcome.index)):
                file.unlink(missing_ok=True)


@dataclass(slots=True)
class _Outcome:
    """Result of a worker for one clip; this project's exceptions can't be pickled between processes."""

    index: int
    lines: list[str] = field(default_factory=list)
    readable: bool = False
    full: str = ""


def _record(source: ClipSource, spec: Vision, folder: Path, task: tuple[int, str]) -> _Outcome:
    index, clip_id = task
    outcome = _Outcome(index)
    try:
        clip = source.open(clip_id)
        _crop(clip, spec, folder, index)
    except MediaError as error:
        outcome.lines = [f"{error}; left out"]
    except OSError as error:
        outcome.full = f"can't hold the crops of clips: {error.strerror or error}"
    else:
        outcome.lines, outcome.readable = clip.warnings, True
    return outcome


def _crop(clip: LabelledClip, spec: Vision, folder: Path, index: int) -> None:
    cropper = FaceCropper(
        clip.faces,
        detector=_detector(),
        size=spec.crop_size,
        margin=spec.margin,
        interpolation=spec.interpolation,
    )
    empty = np.zeros((spec.crop_size, spec.crop_size, 3), np.uint8)
    times: list[float] = []
    found: list[bool] = []
    samples: list[Samples] = []
    block: list[NDArray[np.uint8]] = []
    with _crops_file(folder, index).open("wb") as file:
        for item in clip.items:
            reduced = cropped(item, cropper)
            if not isinstance(reduced, CroppedFrame):
                samples.append(reduced)
                continue
            times.append(reduced.pts_seconds)
            found.append(reduced.crop.found)
            block.append(empty if reduced.crop.pixels is None else reduced.crop.pixels)
            if len(block) == _BLOCK:
                file.write(np.stack(block).data)
                block.clear()
        if block:
            file.write(np.stack(block).data)
    samples = list(_joined(samples))
    np.savez(
        _rest_file(folder, index),
        size=spec.crop_size,
        frame_times_seconds=np.asarray(times, np.float64),
        found=np.asarray(found, np.bool_),
        sound_starts_seconds=np.asarray([block.pts_seconds for block in samples], np.float64),
        sound_lengths=np.asarray([len(block.pcm) for block in samples], np.int64),
        pcm=np.concatenate([block.pcm for block in samples] or [np.zeros(0, np.float32)]),
    )


@cache
def _detector() -> FaceDetector:
    """One for all clips of a process: loading it takes longer than a short clip."""
    return FaceDetector()


def _joined(blocks: Iterable[Samples]) -> Iterator[Samples]:
    """Blocks as long as the sound goes on, by the tolerance of the runtime's own chunker."""
    run: list[NDArray[np.float32]] = []
    start, length = 0.0, 0
    for block in blocks:
        drift = round((block.pts_seconds - start) * SAMPLE_RATE_HZ) - length
        if run and abs(drift) > RESYNC_SAMPLES:
            yield Samples(start, np.concatenate(run))
            run = []
        if not run:
            start, length = block.pts_seconds, 0
        run.append(block.pcm)
        length += len(block.pcm)
    if run:
        yield Samples(start, np.concatenate(run))


def _load(folder: Path, index: int, clip_id: str, source: ClipSource) -> CroppedClip:
    with np.load(_rest_file(folder, index)) as arrays:
        blocks = np.split(arrays["pcm"], np.cumsum(arrays["sound_lengths"])[:-1])
        starts = arrays["sound_starts_seconds"].tolist()
        size, found = int(arrays["size"]), arrays["found"]
        return CroppedClip(
            clip_id=clip_id,
            frame_times_seconds=arrays["frame_times_seconds"],
            crops=_map(_crops_file(folder, index), (len(found), size, size, 3)),
            found=found,
            samples=tuple(Samples(start, block) for start, block in zip(starts, blocks, strict=False)),
            truth=source.truth(clip_id),
        )


def _map(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    if not shape[0]:
        return np.zeros(shape, np.uint8)  # an empty file can't be mapped
    return np.memmap(path, np.uint8, "r", shape=shape)


def _crops_file(folder: Path, index: int) -> Path:
    return folder / f"{index}.crops"


def _rest_file(folder: Path, index: int) -> Path:
    return folder / f"{index}.npz"
