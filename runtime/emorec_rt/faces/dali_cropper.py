"""Crops cut out and scaled by DALI, a batch at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, cast

import numpy as np
from numpy.typing import NDArray

from emorec_rt.faces import Crop, FaceCropper
from emorec_rt.faces.crop import Place, whole_pixels
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.machine.device_array import from_dlpack
from emorec_rt.media import Frame, MediaItem, MissingFrame, Samples
from emorec_rt.media.dali.library import dali_device
from emorec_rt.media.dali.pipelines import BATCH, CropPipeline
from emorec_rt.media.dali.reader import DeviceFrame

MAX_WAITING: Final = 4 * BATCH
"""Items, faceless frames and sound among them, that wait for a batch to fill."""


@dataclass(frozen=True, slots=True)
class _Located:
    frame: Frame
    place: Place
    square: tuple[int, int, int]

    @property
    def picture(self) -> Any:
        return self.frame.picture if isinstance(self.frame, DeviceFrame) else self.frame.pixels


class DaliCropper:
    """Finds faces as its ``FaceCropper`` does, and leaves the pictures to DALI.

    Args:
        cropper: A cropper for this input alone.
    """

    def __init__(self, cropper: FaceCropper) -> None:
        self._cropper = cropper
        self._device = dali_device()
        self._pipeline = CropPipeline(self._device, cropper.size, cropper.interpolation)

    def finish(self, source: str | Path) -> None:
        """End of the input; see ``FaceCropper.finish``."""
        self._cropper.finish(source)

    def crops(self, items: Iterable[MediaItem]) -> Iterator[CroppedFrame | Samples]:
        """Reduce each frame to its face, in order; sound passes."""
        waiting: list[CroppedFrame | Samples | _Located] = []
        located = 0
        for item in items:
            waiting.append(self._locate(item))
            located += isinstance(waiting[-1], _Located)
            if located == BATCH or len(waiting) == MAX_WAITING:
                yield from self._cut(waiting)
                waiting, located = [], 0
        yield from self._cut(waiting)

    def _locate(self, item: MediaItem) -> CroppedFrame | Samples | _Located:
        if isinstance(item, Samples):
            return item
        place = None if isinstance(item, MissingFrame) else self._cropper.locate(item)
        if isinstance(item, MissingFrame) or place is None:
            return CroppedFrame(item.index, item.pts_seconds, Crop(None, None, 0.0))
        height, width = item.pixels.shape[:2]
        if isinstance(item, DeviceFrame):
            place = _scaled(place, item.width / width)
            height, width = item.height, item.width
        return _Located(item, place, whole_pixels(place.square, height, width))

    def _cut(self, waiting: list[CroppedFrame | Samples | _Located]) -> Iterator[CroppedFrame | Samples]:
        located = [entry for entry in waiting if isinstance(entry, _Located)]
        crops = iter(self._crop(located) if located else ())
        for entry in waiting:
            if isinstance(entry, _Located):
                crop = Crop(next(crops), entry.place.box, entry.place.score)
                yield CroppedFrame(entry.frame.index, entry.frame.pts_seconds, crop)
            else:
                yield entry

    def _crop(self, located: list[_Located]) -> list[NDArray[np.uint8]]:
        done = self._pipeline.crop([entry.picture for entry in located], [entry.square for entry in located])
        tensor = done.as_tensor()
        if self._device == "cpu":
            return list(np.array(tensor, np.uint8))
        host = lru_cache(maxsize=1)(lambda: np.array(tensor.as_cpu(), np.uint8))
        return cast("list[NDArray[np.uint8]]", from_dlpack(tensor, host))


def _scaled(place: Place, factor: float) -> Place:
    box = None if place.box is None else place.box.scaled(factor)
    return Place(place.square.scaled(factor), box, place.score)
