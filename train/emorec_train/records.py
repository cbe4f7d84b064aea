"""Clips reduced to what the encoders see, made once by worker processes and kept on disk while training runs.

Faces are found and cropped by the runtime's own ``FaceCropper``.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.faces import Crop, FaceCropper
from emorec_rt.manifest import Vision
from emorec_rt.media.types import Samples
from emorec_rt.window import CroppedFrame
from emorec_rt.windows import cropped
from emorec_train.data import ClipSource
from emorec_train.progress import tracked


@dataclass(frozen=True, slots=True)
class ClipRecord:
    """A clip past the face cropper.

    Attributes:
        clip_id: The source's identity of it.
        frame_times_seconds: float64 ``[F]``.
        crops: uint8 ``[F, H, W, 3]``, mapped from disk; zeros where no face was found.
        found: bool ``[F]``, whether a face was found.
        samples: Its sound.
        label_times_seconds: float64 ``[L]``.
        labels: int64 ``[L]``, index into the model's labels.
    """

    clip_id: str
    frame_times_seconds: NDArray[np.float64]
    crops: NDArray[np.uint8]
    found: NDArray[np.bool_]
    samples: tuple[Samples, ...]
    label_times_seconds: NDArray[np.float64]
    labels: NDArray[np.int64]

    def items(self) -> Iterator[CroppedFrame | Samples]:
        """What the runtime's window builder takes."""
        yield from self.samples
        for index, (time, found) in enumerate(
            zip(self.frame_times_seconds.tolist(), self.found, strict=True)
        ):
            yield CroppedFrame(index, time, Crop(self.crops[index] if found else None, None, 0.0))


def record_clips(
    source: ClipSource, clip_ids: list[str], spec: Vision, folder: Path, *, workers: int
) -> list[ClipRecord]:
    """Open, crop and keep clips.

    Args:
        source: The data set.
        clip_ids: Which of its clips.
        spec: Crop size and margin.
        folder: Where the records go.
        workers: Processes; 1 works in this one.
    """
    record = partial(_record, source, spec, folder)
    label, count = "clips", len(clip_ids)
    if workers == 1:
        for clip_id in tracked(clip_ids, label, count):
            record(clip_id)
    else:
        # Not fork: torch's and OpenCV's threads don't survive it.
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(workers, context, initializer=cv2.setNumThreads, initargs=(1,)) as pool:
            for _ in tracked(pool.map(record, clip_ids, chunksize=2), label, count):
                pass
    return [_load(folder, clip_id) for clip_id in clip_ids]


def _record(source: ClipSource, spec: Vision, folder: Path, clip_id: str) -> None:
    clip = source.open(clip_id)
    cropper = FaceCropper("auto", size=spec.crop_size, margin=spec.margin)
    times: list[float] = []
    crops: list[NDArray[np.uint8] | None] = []
    samples: list[Samples] = []
    for item in clip.items:
        reduced = cropped(item, cropper)
        if isinstance(reduced, CroppedFrame):
            times.append(reduced.pts_seconds)
            crops.append(reduced.crop.pixels)
        else:
            samples.append(reduced)
    _save(folder, clip_id, crops, spec.crop_size)
    np.savez(
        folder / f"{clip_id}.npz",
        frame_times_seconds=np.asarray(times, np.float64),
        found=np.asarray([crop is not None for crop in crops], np.bool_),
        sound_starts_seconds=np.asarray([block.pts_seconds for block in samples], np.float64),
        sound_lengths=np.asarray([len(block.pcm) for block in samples], np.int64),
        pcm=np.concatenate([block.pcm for block in samples] or [np.zeros(0, np.float32)]),
        label_times_seconds=clip.label_times_seconds,
        labels=clip.labels,
    )


def _save(folder: Path, clip_id: str, crops: list[NDArray[np.uint8] | None], size: int) -> None:
    empty = np.zeros((size, size, 3), np.uint8)
    stacked = np.stack([empty if crop is None else crop for crop in crops] or [empty])[: len(crops)]
    np.save(folder / f"{clip_id}.npy", stacked)


def _load(folder: Path, clip_id: str) -> ClipRecord:
    with np.load(folder / f"{clip_id}.npz") as arrays:
        blocks = np.split(arrays["pcm"], np.cumsum(arrays["sound_lengths"])[:-1])
        starts = arrays["sound_starts_seconds"].tolist()
        return ClipRecord(
            clip_id=clip_id,
            frame_times_seconds=arrays["frame_times_seconds"],
            crops=np.load(folder / f"{clip_id}.npy", mmap_mode="r"),
            found=arrays["found"],
            samples=tuple(Samples(start, block) for start, block in zip(starts, blocks, strict=False)),
            label_times_seconds=arrays["label_times_seconds"],
            labels=arrays["labels"],
        )
