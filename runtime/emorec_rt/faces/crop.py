"""Square crops around faces: the only part of a picture that the encoders see."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Interpolation
from emorec_rt.constants import CROP_SIZE
from emorec_rt.errors import FaceNotFoundError
from emorec_rt.faces.box import Box
from emorec_rt.faces.detector import FaceDetector
from emorec_rt.faces.mouth import MouthMotion
from emorec_rt.faces.persons import PersonTracker, Tracked
from emorec_rt.faces.scaling import shrunk
from emorec_rt.faces.tracker import FaceTracker
from emorec_rt.media.types import Frame

FaceMode = Literal["auto", "require", "off"]
Faces = Literal["main", "all"] | int
"""Whom to follow: the main face, everyone, or so many at once."""

ENLARGING: Final[dict[Interpolation, int]] = {"bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}

DEFAULT_MARGIN: Final = 0.2
"""Chin to forehead of an upright face; a bundle's manifest says what its model was trained with."""


@dataclass(frozen=True, slots=True)
class Crop:
    """Part of a frame that the vision encoder gets.

    Attributes:
        pixels: uint8 ``[size, size, 3]``, RGB; ``None`` where there is no face. A ``DeviceArray`` stands for
            it where the crop was made on a GPU: NumPy takes that as an array, too.
        box: The face without its margin, in pixels of the frame; ``None`` without a face, or with faces off.
        score: The detector's confidence, 0 where nothing was detected.
        person: Identity, from 1, where everybody is followed; else 0.
        mouth: Movement of the mouth since the last crop, where everybody is followed; see ``MouthMotion``.
    """

    pixels: NDArray[np.uint8] | None
    box: Box | None
    score: float
    person: int = 0
    mouth: float = 0.0

    @property
    def found(self) -> bool:
        """Say whether there is something to encode."""
        return self.pixels is not None


@dataclass(frozen=True, slots=True)
class Place:
    """Square to cut out of a frame.

    Attributes:
        square: In pixels of the frame; it may reach over its edge.
        box: The face without its margin; ``None`` with faces off.
        score: The detector's confidence, 0 where nothing was detected.
    """

    square: Box
    box: Box | None
    score: float


class FaceCropper:
    """Crop one input's frames, in presentation order.

    Args:
        mode: ``auto`` and ``require`` crop the main face; ``off`` crops the middle of the picture.
        model: A YuNet file for a detector of its own.
        detector: A detector to share between inputs, instead.
        size: Side of the crop in pixels.
        margin: Margin around the box, as a share of its longer side on each side.
        interpolation: How a crop is enlarged.

    Attributes:
        size: As given.
        interpolation: As given.
    """

    def __init__(
        self,
        mode: FaceMode = "auto",
        *,
        model: Path | None = None,
        detector: FaceDetector | None = None,
        size: int = CROP_SIZE,
        margin: float = DEFAULT_MARGIN,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        self._mode = mode
        self._tracker = None if mode == "off" else FaceTracker(detector or FaceDetector(model))
        self.size = size
        self.interpolation: Interpolation = interpolation
        self._margin = margin
        self._faces = 0

    def process(self, frame: Frame) -> Crop:
        """The crop of one frame."""
        place = self.locate(frame)
        if place is None:
            return Crop(None, None, 0.0)
        pixels = crop_square(frame.pixels, place.square, self.size, self.interpolation)
        return Crop(pixels, place.box, place.score)

    def locate(self, frame: Frame) -> Place | None:
        """Find the square to cut out, ``None`` without a face; call it once a frame, in their order."""
        if self._tracker is None:
            return Place(middle_square(*frame.pixels.shape[:2]), None, 0.0)
        face = self._tracker.update(frame)
        if face is None:
            return None
        self._faces += 1
        return Place(face_square(face.box, self._margin), face.box, face.score)

    def finish(self, source: str | Path) -> None:
        """End of the input.

        Raises:
            FaceNotFoundError: The mode is ``require`` and no frame had a face.
        """
        if self._mode == "require" and self._faces == 0:
            raise FaceNotFoundError(source, "no face in the whole input; --face auto runs it on sound alone")


class PeopleCropper(FaceCropper):
    """Crop the faces of everyone in one input's frames, in presentation order.

    Args:
        mode: ``auto``, or ``require`` to fail an input that never shows a face.
        detector: A detector that no other input uses at the same time.
        most: Faces to follow at once; ``None`` follows all.
        size: As for ``FaceCropper``, like the rest.
    """

    def __init__(
        self,
        mode: FaceMode,
        detector: FaceDetector,
        most: int | None,
        *,
        size: int = CROP_SIZE,
        margin: float = DEFAULT_MARGIN,
        interpolation: Interpolation = "bilinear",
    ) -> None:
        super().__init__(mode, detector=detector, size=size, margin=margin, interpolation=interpolation)
        self._people = PersonTracker(detector, most)
        self._mouths: dict[int, MouthMotion] = {}

    def process_all(self, frame: Frame) -> tuple[Crop, ...]:
        """Crop everyone in a frame, by identity."""
        found = self._people.update(frame)
        self._faces += len(found)
        self._mouths = {t.person: self._mouths.get(t.person) or MouthMotion() for t in found}
        return tuple(self._crop(frame, tracked) for tracked in found)

    def _crop(self, frame: Frame, tracked: Tracked) -> Crop:
        box = tracked.face.box
        square = face_square(box, self._margin)
        pixels = crop_square(frame.pixels, square, self.size, self.interpolation)
        mouth = self._mouths[tracked.person].measure(pixels)
        return Crop(pixels, box, tracked.face.score, tracked.person, mouth)


def crop_face(
    frame: Frame,
    box: Box,
    *,
    size: int = CROP_SIZE,
    margin: float = DEFAULT_MARGIN,
    interpolation: Interpolation = "bilinear",
) -> NDArray[np.uint8]:
    """The square around a face with its margin, uint8 ``[size, size, 3]``."""
    return crop_square(frame.pixels, face_square(box, margin), size, interpolation)


def whole_frame_crop(
    frame: Frame, *, size: int = CROP_SIZE, interpolation: Interpolation = "bilinear"
) -> NDArray[np.uint8]:
    """The largest square in the middle of the picture, uint8 ``[size, size, 3]``."""
    return crop_square(frame.pixels, middle_square(*frame.pixels.shape[:2]), size, interpolation)


def face_square(box: Box, margin: float = DEFAULT_MARGIN) -> Box:
    """The square around a face, its margin included."""
    side = max(box.width, box.height) * (1.0 + 2.0 * margin)
    x, y = box.center
    return Box(x - side / 2, y - side / 2, side, side)


def middle_square(height: int, width: int) -> Box:
    """The largest square in the middle of a picture."""
    side = min(height, width)
    return Box((width - side) / 2, (height - side) / 2, side, side)


def whole_pixels(square: Box, height: int, width: int) -> tuple[int, int, int]:
    """Left, top and side of a square in whole pixels of a picture, as it is cut out."""
    side = min(max(round(square.width), 1), 2 * max(height, width))
    # At least one row and column stay inside: all that lies beyond them repeats them anyway.
    left = min(max(round(square.left), 1 - side), width - 1)
    top = min(max(round(square.top), 1 - side), height - 1)
    return left, top, side


def crop_square(
    pixels: NDArray[np.uint8], square: Box, size: int, interpolation: Interpolation = "bilinear"
) -> NDArray[np.uint8]:
    """Cut out a square and scale it to ``size``; the picture's edge is repeated beyond it.

    Args:
        pixels: uint8 ``[H, W, 3]``.
        square: A box of equal sides, anywhere; more than twice the picture's longer side is cut to that.
        size: Side of the result in pixels.
        interpolation: How it is enlarged.

    Returns:
        uint8 ``[size, size, 3]``.
    """
    height, width = pixels.shape[:2]
    left, top, side = whole_pixels(square, height, width)
    inside = pixels[max(top, 0) : top + side, max(left, 0) : left + side]
    beyond = (max(-top, 0), max(top + side - height, 0), max(-left, 0), max(left + side - width, 0))
    if any(beyond):
        inside = np.asarray(cv2.copyMakeBorder(inside, *beyond, cv2.BORDER_REPLICATE), np.uint8)
    return scaled(inside, size, interpolation)


def scaled(
    pixels: NDArray[np.uint8], size: int, interpolation: Interpolation = "bilinear"
) -> NDArray[np.uint8]:
    """Scale a square, down as ``shrunk`` does.

    Args:
        pixels: uint8 ``[S, S, 3]``.
        size: Side of the result in pixels.
        interpolation: How it is enlarged.

    Returns:
        uint8 ``[size, size, 3]``.
    """
    if len(pixels) > size:
        return shrunk(pixels, size, size)
    return np.asarray(cv2.resize(pixels, (size, size), interpolation=ENLARGING[interpolation]), np.uint8)
