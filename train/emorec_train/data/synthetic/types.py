"""Request and result of a drawing: ``ClipSpec`` and ``Clip``; the seeds of the three splits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import UsageError

Split = Literal["train", "validation", "test"]
SPLITS: Final[tuple[Split, ...]] = ("train", "validation", "test")

SEEDS_PER_SPLIT: Final = 1_000_000
"""Seeds ``[k * SEEDS_PER_SPLIT, (k + 1) * SEEDS_PER_SPLIT)`` belong to split ``k``."""


@dataclass(frozen=True, slots=True)
class ClipSpec:
    """Request for a clip; everything else is drawn from its seed.

    Attributes:
        seconds: Length; the number of frames is ``round(seconds * fps)``.
        fps: Frames a second.
        width: Picture width in pixels, even.
        height: Picture height in pixels, even.
        labels: Class names, one segment each in this order; None draws one or several segments at random.
        sound: Whether there is a voice; without it ``pcm`` is empty (the mouth still moves).
        clean: Leave out occlusion, sensor noise, blur, compression, reverberation and background noise.
        plain: Show faces as people do, each class one of its own, instead of the puzzle of ``design``.
    """

    seconds: float = 6.0
    fps: float = 25.0
    width: int = 256
    height: int = 256
    labels: tuple[str, ...] | None = None
    sound: bool = True
    clean: bool = False
    plain: bool = False

    def __post_init__(self) -> None:
        if self.fps <= 0 or self.frame_count < 1:
            raise UsageError(
                f"a clip of {self.seconds} s at {self.fps} fps has no frame; ask for more seconds"
            )
        if min(self.width, self.height) < 64 or self.width % 2 or self.height % 2:
            raise UsageError(f"{self.width}x{self.height} pixels; both sides must be even and at least 64")
        if self.labels is not None:
            _check_labels(self.labels)

    @property
    def frame_count(self) -> int:
        """Frames in the clip."""
        return round(self.seconds * self.fps)


def _check_labels(labels: tuple[str, ...]) -> None:
    unknown = [label for label in labels if label not in EXPRESSIONS]
    if unknown or not labels:
        raise UsageError(f"labels {unknown or '()'} are none of {', '.join(EXPRESSIONS)}")


@dataclass(frozen=True, slots=True)
class Clip:
    """A drawn clip with the truth about each frame.

    Attributes:
        seed: What it was drawn from.
        spec: What was asked for.
        frames: uint8 ``[T, H, W, 3]``, RGB.
        times_seconds: float64 ``[T]``, presentation time of each frame.
        pcm: float32 ``[N]``, 16 kHz mono in [-1, 1], from time 0; ``[0]`` without sound.
        labels: int64 ``[T]``, index into ``EXPRESSIONS``.
        boxes: float32 ``[T, 4]``, left, top, right, bottom of the head without hair, in pixels.
    """

    seed: int
    spec: ClipSpec
    frames: NDArray[np.uint8]
    times_seconds: NDArray[np.float64]
    pcm: NDArray[np.float32]
    labels: NDArray[np.int64]
    boxes: NDArray[np.float32]

    def iter_frames(self) -> Iterator[NDArray[np.uint8]]:
        """Yield each frame, uint8 ``[H, W, 3]``."""
        return iter(self.frames)


def clip_seeds(split: Split, count: int) -> list[int]:
    """The first ``count`` seeds of a split.

    Faces, voices and everything else come from the seed, so no two splits share a clip or a person.

    Raises:
        UsageError: No such split, or more seeds than a split has.
    """
    if split not in SPLITS:
        raise UsageError(f"no split {split!r}; there are {', '.join(SPLITS)}")
    if not 0 <= count <= SEEDS_PER_SPLIT:
        raise UsageError(f"{count} seeds asked for; a split has 0 to {SEEDS_PER_SPLIT}")
    first = SPLITS.index(split) * SEEDS_PER_SPLIT
    return list(range(first, first + count))
