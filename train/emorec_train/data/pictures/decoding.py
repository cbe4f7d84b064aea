"""From records to pixels: each face framed and scaled as the runtime does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Vision
from emorec_rt.faces.box import Box
from emorec_rt.faces.crop import crop_square, face_square, middle_square
from emorec_rt.faces.detector import FaceDetector
from emorec_train.data.datasets.record import Problem
from emorec_train.data.pictures.record import PictureRecord

_AT_ONCE = 1024
"""Pictures that are decoded before the next ones are read."""


@dataclass(frozen=True, slots=True)
class Framing:
    """Cutting of faces out of pictures.

    Attributes:
        spec: Size, margin and interpolation of the crops that the model takes.
        margin: Margin around the face that the pictures have already, as a share of its side; what is beyond
            the model's is cut off.
        detector: Finds the face in whole pictures, instead; shared, so they are searched one by one.
    """

    spec: Vision
    margin: float = 0.0
    detector: FaceDetector | None = field(default=None)

    def crop(self, pixels: NDArray[np.uint8], box: Box | None) -> NDArray[np.uint8] | None:
        """The crop of an RGB picture, uint8 ``[S, S, 3]``; ``None`` where no face is found."""
        if box is None and self.detector is not None:
            faces = self.detector.detect(pixels)
            if not faces:
                return None
            box = max(faces, key=lambda face: face.box.size).box
        square = face_square(box, self.spec.margin) if box is not None else self._middle(pixels)
        return crop_square(pixels, square, self.spec.crop_size, self.spec.interpolation)

    def _middle(self, pixels: NDArray[np.uint8]) -> Box:
        whole = middle_square(*pixels.shape[:2])
        side = whole.width * (1.0 + 2.0 * self.spec.margin) / (1.0 + 2.0 * self.margin)
        x, y = whole.center
        return Box(x - side / 2, y - side / 2, side, side)


def decoded(
    records: Iterable[PictureRecord], framing: Framing, problems: list[Problem]
) -> Iterator[tuple[PictureRecord, NDArray[np.uint8]]]:
    """Yield records with their crops, grey ``[S, S]`` where the picture is; leave out what can't be read."""
    threads = 1 if framing.detector is not None else None
    remaining = iter(records)
    with ThreadPoolExecutor(threads) as pool:
        while some := list(islice(remaining, _AT_ONCE)):
            for record, crop in zip(some, pool.map(lambda one: _crop(one, framing), some), strict=True):
                if isinstance(crop, str):
                    problems.append(Problem(record.source, crop))
                else:
                    yield record, crop


def _crop(record: PictureRecord, framing: Framing) -> NDArray[np.uint8] | str:
    """A record's crop, or why there is none."""
    pixels = _pixels(record)
    if pixels is None:
        return "can't be read as a picture; left out"
    rgb = np.repeat(pixels[..., None], 3, axis=2) if pixels.ndim == 2 else pixels
    crop = framing.crop(rgb, record.box)
    if crop is None:
        return "no face is found in it; left out"
    return np.ascontiguousarray(crop[..., 0]) if pixels.ndim == 2 else crop


def _pixels(record: PictureRecord) -> NDArray[np.uint8] | None:
    """Grey ``[H, W]`` or RGB ``[H, W, 3]``; ``None`` if it can't be read."""
    if record.data is not None and record.data.ndim > 1:
        return record.data
    try:
        data = np.fromfile(record.source, np.uint8) if record.data is None else record.data
        picture = cv2.imdecode(data, cv2.IMREAD_ANYCOLOR)
    except (OSError, cv2.error):
        return None
    if picture is None or picture.ndim == 2:
        return None if picture is None else np.asarray(picture, np.uint8)
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)
