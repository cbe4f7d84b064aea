"""A picture of a data set before it is decoded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.faces.box import Box
from emorec_train.data.datasets.record import Problem
from emorec_train.data.pictures.types import PictureSplit


@dataclass(frozen=True, slots=True, eq=False)
class PictureRecord:
    """One labelled picture.

    Attributes:
        source: Its file, or where it came from, for messages.
        data: The encoded picture, or its pixels, grey ``[H, W]`` or RGB ``[H, W, 3]``; ``None`` for what the
            file holds.
        votes: How strongly it belongs to each of ``EXPRESSIONS``, float32 ``[8]``, not all 0.
        split: Training or validation; ``None`` where the set doesn't say.
        box: The face, in pixels, where the set says so.
    """

    source: Path
    votes: NDArray[np.float32]
    split: PictureSplit | None = None
    data: NDArray[np.uint8] | None = None
    box: Box | None = None


class PictureReader(Protocol):
    """Reads one layout."""

    def __call__(self, root: Path, problems: list[Problem]) -> Iterator[PictureRecord]:
        """Yield the pictures in an order that depends on nothing but the set.

        Raises:
            DatasetError: This is no such set.
        """
        ...


def certain(label: str) -> NDArray[np.float32]:
    """Votes that all go to one of ``EXPRESSIONS``."""
    return np.asarray(np.eye(len(EXPRESSIONS), dtype=np.float32)[EXPRESSIONS.index(label)])
