"""What comes out: one prediction for each decoded frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emorec_rt.faces import Box


@dataclass(frozen=True, slots=True)
class Prediction:
    """The expression at one frame (or, for sound without video, at one step of the time grid).

    Attributes:
        index: Frame number from 0, as decoded.
        time_seconds: Presentation time on the container's clock.
        label: The most probable class.
        probabilities: float32 ``[C]`` in the order of the bundle's labels; they add up to 1.
        face: Whether a face was seen; without, the visual stream was masked.
        sound: Whether there was sound; without, the audio stream was masked.
        box: The face in pixels of the upright frame, if one was seen.
    """

    index: int
    time_seconds: float
    label: str
    probabilities: NDArray[np.float32]
    face: bool
    sound: bool
    box: Box | None = None
