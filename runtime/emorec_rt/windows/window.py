"""One input of the fusion graph."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emorec_rt.engines.batching import Item


@dataclass(frozen=True, slots=True)
class Window:
    """One input of the fusion graph, without the batch dimension.

    Attributes:
        first_step: Index of its first step on the clip's grid.
        steps: How many of its ``T`` steps exist; the rest is padding at the end of a short clip.
        settles: Steps before this index are in no later window.
        times_seconds: float64 ``[T]``, presentation time of each step.
        frame_embeddings: float32 ``[T, Dv]``, zeros where masked.
        frame_mask: float32 ``[T]``, 1 where a face was seen.
        audio_tokens: float32 ``[S, Da]``, zeros where masked.
        audio_mask: float32 ``[S]``, 1 where there is sound.
        interpolated: bool ``[steps]``, whether a step's own frame was left out; ``None`` where none was.
    """

    first_step: int
    steps: int
    settles: int
    times_seconds: NDArray[np.float64]
    frame_embeddings: NDArray[np.float32]
    frame_mask: NDArray[np.float32]
    audio_tokens: NDArray[np.float32]
    audio_mask: NDArray[np.float32]
    interpolated: NDArray[np.bool_] | None = None

    def feeds(self) -> Item:
        """The arrays that the fusion graph takes, by input name."""
        return {
            "frame_embeddings": self.frame_embeddings,
            "frame_mask": self.frame_mask,
            "audio_tokens": self.audio_tokens,
            "audio_mask": self.audio_mask,
        }
