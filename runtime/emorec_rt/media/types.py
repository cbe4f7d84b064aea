"""Items of a media source: frames and samples, each with its presentation time in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Frame:
    """One decoded video frame, upright (rotation and mirroring metadata applied).

    Attributes:
        index: Position among the frames that were decoded, from 0; nothing is dropped.
        pts_seconds: Presentation time in seconds on the container's clock, shared with the sound.
        pixels: uint8 ``[H, W, 3]``, RGB.
        origin: Left and top of ``pixels`` in the whole picture, where they are a region of it.
    """

    index: int
    pts_seconds: float
    pixels: NDArray[np.uint8]
    origin: tuple[int, int] = field(default=(0, 0), kw_only=True)


@dataclass(frozen=True, slots=True)
class MissingFrame:
    """A frame that should be there and isn't: a gap in a numbered sequence, a picture that can't be read.

    It has its row all the same.

    Attributes:
        index: Its position among the frames, the missing ones counted.
        pts_seconds: Its presentation time in seconds.
    """

    index: int
    pts_seconds: float


@dataclass(frozen=True, slots=True)
class Samples:
    """A run of sound without a gap inside.

    Attributes:
        pts_seconds: Presentation time of the first sample, in seconds on the container's clock.
        pcm: float32 ``[N]``, mono, 16 kHz, in [-1, 1].
    """

    pts_seconds: float
    pcm: NDArray[np.float32]


MediaItem = Frame | MissingFrame | Samples
