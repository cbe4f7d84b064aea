"""Frames reduced to the face: the only part of a picture that the rest of the chain needs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Protocol

from emorec_rt.faces.crop import Crop, FaceCropper, PeopleCropper
from emorec_rt.media.types import Frame, MediaItem, MissingFrame, Samples

NO_FACE: Final = Crop(None, None, 0.0)


@dataclass(frozen=True, slots=True)
class CroppedFrame:
    """A frame whose picture has been reduced to the face: all that the rest of the chain needs of it.

    Attributes:
        index: As in ``Frame``.
        pts_seconds: As in ``Frame``.
        crop: The main face; where everyone is followed, the first.
        others: Where everyone is followed: the rest.
    """

    index: int
    pts_seconds: float
    crop: Crop
    others: tuple[Crop, ...] = ()

    @property
    def found(self) -> tuple[Crop, ...]:
        """The crops that show a face."""
        return tuple(crop for crop in (self.crop, *self.others) if crop.found)


class BatchCropper(Protocol):
    """A cropper that works on several frames at once."""

    def crops(self, items: Iterable[MediaItem]) -> Iterator[CroppedFrame | Samples]:
        """Reduce each frame to its face, in order; sound passes."""

    def finish(self, source: str | Path) -> None:
        """End of the input; see ``FaceCropper.finish``."""


def cropped_items(
    items: Iterable[MediaItem], cropper: FaceCropper | BatchCropper
) -> Iterator[CroppedFrame | Samples]:
    """Reduce each frame to its face, one at a time or as the cropper likes it."""
    if isinstance(cropper, FaceCropper):
        return (cropped(item, cropper) for item in items)
    return cropper.crops(items)


def cropped(item: MediaItem, cropper: FaceCropper) -> CroppedFrame | Samples:
    """Reduce a frame to its face; a missing frame has none, and sound passes."""
    if isinstance(item, Frame):
        crops = cropper.process_all(item) if isinstance(cropper, PeopleCropper) else (cropper.process(item),)
        main, *others = (_in_whole(crop, item.origin) for crop in crops or (NO_FACE,))
        return CroppedFrame(item.index, item.pts_seconds, main, tuple(others))
    if isinstance(item, MissingFrame):
        return CroppedFrame(item.index, item.pts_seconds, NO_FACE)
    return item


def _in_whole(crop: Crop, origin: tuple[int, int]) -> Crop:
    """The crop with its box in pixels of the whole picture."""
    return crop if crop.box is None else replace(crop, box=crop.box.moved(*origin))
