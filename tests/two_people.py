"""Two drawn people in one picture, who move, pass one another, leave and come back, and where each is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.media import Frame, open_media

CLIP = Path(__file__).parents[1] / "examples" / "demo.mp4"
SIZE = (760, 300)
FPS = 25.0
FACE_X = 96
"""Middle of the clip's face, in pixels from the left."""


@dataclass(frozen=True, slots=True)
class Scene:
    """A picture of two people.

    Attributes:
        frame: The picture.
        centers: Middle of each face in pixels; ``None`` where it is hidden or outside.
    """

    frame: Frame
    centers: tuple[tuple[float, float] | None, tuple[float, float] | None]


def drawn(count: int) -> list[NDArray[np.uint8]]:
    """Frames of the drawn talk, uint8 ``[240, 240, 3]``, the face in the middle."""
    with open_media(CLIP) as media:
        frames = [item.pixels for item in media if isinstance(item, Frame)]
    shift = 120 - FACE_X
    wider = [cv2.copyMakeBorder(frame, 0, 0, shift, 0, cv2.BORDER_REPLICATE) for frame in frames]
    return [np.ascontiguousarray(wider[k % len(wider)][:240, :240]) for k in range(count)]


def scenes(seconds: float, *, crossing: bool = True, leaving: bool = True) -> Iterator[Scene]:
    """Two people in different colours: they cross every 12 s, and the first leaves once in 30 s."""
    count = round(seconds * FPS)
    first = drawn(count)
    for k in range(count):
        time = k / FPS
        swing = 0.5 - 0.5 * np.cos(2 * np.pi * time / 24.0) if crossing else 0.0
        places = [20 + round(460 * swing), 500 - round(460 * swing)]
        gone = leaving and 14.0 < time % 30.0 < 20.0
        canvas = np.full((SIZE[1], SIZE[0], 3), 120, np.uint8)
        people = [first[k], cv2.flip(first[(k + 130) % count], 1)[:, :, ::-1]]
        for number, (person, left) in enumerate(zip(people, places, strict=True)):
            if not (number == 0 and gone):
                canvas[40:280, left : left + 240] = person
        apart = abs(places[0] - places[1])
        hidden = apart < 130
        centers = [(left + 120.0, 160.0) for left in places]
        yield Scene(
            Frame(k, time, canvas),
            (None if gone or hidden else centers[0], None if hidden and not gone else centers[1]),
        )
