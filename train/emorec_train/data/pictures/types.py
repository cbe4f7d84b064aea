"""Labelled still pictures in memory.

Shapes: ``N`` pictures, ``S`` side in pixels, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

PictureSplit = Literal["train", "validation"]


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Square face crops and what they are labelled with.

    Attributes:
        pixels: uint8 ``[N, S, S, 3]``, RGB; ``[N, S, S]`` in a set that is grey throughout.
        targets: float32 ``[N, C]``, the share of each class; rows add up to 1.
    """

    pixels: NDArray[np.uint8]
    targets: NDArray[np.float32]

    def __post_init__(self) -> None:
        if len(self.pixels) != len(self.targets) or self.targets.ndim != 2:
            raise ValueError(f"{len(self.pixels)} pictures, targets of shape {self.targets.shape}")

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class with the largest share of each picture, int64 ``[N]``."""
        return np.asarray(self.targets.argmax(axis=1), np.int64)

    def take(self, indices: NDArray[np.int64]) -> Pictures:
        """Some of them."""
        return Pictures(self.pixels[indices], self.targets[indices])


@dataclass(frozen=True, slots=True, eq=False)
class PictureSet:
    """A data set of stills.

    Attributes:
        name: For messages and the record.
        train: What is learnt from.
        validation: What is scored; may be empty.
        weight: How much a picture counts beside one of another set.
    """

    name: str
    train: Pictures
    validation: Pictures
    weight: float = 1.0


def one_hot(labels: NDArray[np.int64], classes: int) -> NDArray[np.float32]:
    """Targets ``[N, C]`` of labels ``[N]`` that are certain."""
    return np.eye(classes, dtype=np.float32)[labels]


def as_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luma (ITU-R BT.601) of ``[N, S, S, 3]``; grey pictures as they are."""
    if pixels.ndim == 3:
        return pixels
    return np.rint(pixels @ np.array(LUMA, np.float32)).astype(np.uint8)


def as_rgb(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Three channels, ``[N, S, S, 3]``."""
    return np.repeat(pixels[..., None], 3, axis=3) if pixels.ndim == 3 else pixels


LUMA: Sequence[float] = (0.299, 0.587, 0.114)
"""Red's, green's and blue's part in a grey value (ITU-R BT.601, as in OpenCV)."""
