"""The two pipelines: pictures out of a file, crops out of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Interpolation
from emorec_rt.errors import engine_error
from emorec_rt.media.dali.library import Device, import_dali

BATCH: Final = 16
"""Pictures that a pipeline works on at once."""

PREVIEW_SIDE: Final = 640
"""Longer side of the copy in which faces are looked for, where pictures stay on the GPU."""

THREADS: Final = 2
_READER: Final = "reader"
_ADVICE: Final = "--decoder pyav does without it"


@dataclass(frozen=True, slots=True)
class Pictures:
    """A batch of decoded pictures.

    Attributes:
        pixels: DALI's list of uint8 ``[H, W, 3]``, RGB, on the pipeline's device.
        previews: The same in the host's memory; on a GPU at most ``PREVIEW_SIDE`` wide and high.
        numbers: Position of each in the file.
    """

    pixels: Any
    previews: list[NDArray[np.uint8]]
    numbers: list[int]


class ReaderPipeline:
    """Decodes a file's pictures from front to back, in batches.

    Args:
        path: The file.
        device: Where to decode.

    Attributes:
        length: Pictures of the file; of some containers DALI estimates it.

    Raises:
        RuntimeError: DALI can't read it.
    """

    def __init__(self, path: Path, device: Device) -> None:
        dali = import_dali()
        self._pipeline = _pipeline(device, depth=2)
        with self._pipeline:
            # Sequences of one: so the pictures are the batch, and each can have its own square.
            video, number = dali.fn.experimental.readers.video(
                name=_READER,
                device=device,
                filenames=[str(path.resolve())],
                sequence_length=1,
                step=1,
                enable_frame_num="sequence",
                pad_last_batch=True,
            )
            pixels = dali.fn.squeeze(video, axes=[0])
            self._pipeline.set_outputs(pixels, _preview(pixels, device), number)
        self._pipeline.build()
        self.length = int(self._pipeline.reader_meta(_READER)["epoch_size"])

    def read(self) -> Pictures:
        """The next batch; past the end its last pictures come again.

        Raises:
            RuntimeError: DALI can't decode it.
        """
        pixels, previews, numbers = self._pipeline.run()
        return Pictures(
            pixels,
            [np.array(_host(previews).at(k), np.uint8) for k in range(len(previews))],
            [int(np.ravel(_host(numbers).at(k))[0]) for k in range(len(numbers))],
        )


class CropPipeline:
    """Cuts squares out of pictures and scales them; beyond a picture's edge, the edge is repeated.

    Args:
        device: Where to work.
        size: Side of the crops.
        enlarging: How crops are enlarged; shrunk ones are averaged.

    Raises:
        EngineError: DALI can't work there.
    """

    def __init__(self, device: Device, size: int, enlarging: Interpolation) -> None:
        dali = import_dali()
        kinds = {"bilinear": dali.types.INTERP_LINEAR, "bicubic": dali.types.INTERP_CUBIC}
        self._pipeline = _pipeline(device, depth=1)
        with self._pipeline:
            pictures = dali.fn.external_source(name="pictures", device=device, layout="HWC", no_copy=True)
            start, end = dali.fn.external_source(name="start"), dali.fn.external_source(name="end")
            crops = dali.fn.resize(
                pictures,
                size=[size, size],
                roi_start=start,
                roi_end=end,
                mag_filter=kinds[enlarging],
                min_filter=dali.types.INTERP_LINEAR,
                antialias=True,
            )
            self._pipeline.set_outputs(crops)
        try:
            self._pipeline.build()
        except RuntimeError as error:
            raise engine_error("starting DALI", reason_of(error), _ADVICE) from error

    def crop(self, pictures: Sequence[Any], squares: Sequence[tuple[int, int, int]]) -> Any:
        """Cut a square out of each picture.

        Args:
            pictures: uint8 ``[H, W, 3]`` each: NumPy arrays, or DALI tensors of the pipeline's device.
            squares: Left, top and side of each, in pixels.

        Returns:
            DALI's list of uint8 ``[size, size, 3]``, on the pipeline's device.

        Raises:
            EngineError: DALI failed; an ``OutOfMemoryError`` where the GPU is full.
        """
        self._pipeline.feed_input("pictures", list(pictures), layout="HWC")
        self._pipeline.feed_input("start", [np.array([y, x], np.float32) for x, y, _ in squares])
        self._pipeline.feed_input("end", [np.array([y + s, x + s], np.float32) for x, y, s in squares])
        try:
            (crops,) = self._pipeline.run()
        except RuntimeError as error:
            raise engine_error("cutting out faces with DALI", reason_of(error), _ADVICE) from error
        return crops


def _pipeline(device: Device, depth: int) -> Any:
    dali = import_dali()
    # Dynamic execution: outputs stay valid as long as somebody holds them.
    return dali.pipeline.Pipeline(
        batch_size=BATCH,
        num_threads=THREADS,
        device_id=0 if device == "gpu" else None,
        prefetch_queue_depth=depth,
        exec_dynamic=True,
    )


def _preview(pixels: Any, device: Device) -> Any:
    if device == "cpu":
        return pixels
    fn = import_dali().fn
    small = fn.resize(
        pixels, size=[PREVIEW_SIDE, PREVIEW_SIDE], mode="not_larger", subpixel_scale=False, antialias=True
    )
    return small.cpu()


def _host(outputs: Any) -> Any:
    return outputs.as_cpu() if hasattr(outputs, "as_cpu") else outputs


def reason_of(error: RuntimeError) -> str:
    """Find the reason in DALI's report of many lines."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    places = [line.partition("] ")[2] for line in lines if line.startswith("[/") and "] " in line]
    after = [line for before, line in pairwise(lines) if before == "encountered:"]
    return (places or after or lines or ["no reason given"])[0]
