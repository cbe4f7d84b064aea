"""Voice of one person: tokens that hold sound, normalised by those that were heard before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Preprocessing
from emorec_rt.windows.gate import SILENCE_DBFS, LevelGate
from emorec_rt.windows.running import RunningNorm
from emorec_rt.windows.sound import SoundStream

BLOCK_TOKENS: Final = 8192
"""Most tokens that are taken at once. Damaged times make days of silence within one window."""


class Voice:
    """The gate and the running statistics of one person's sound; both begin with the first window.

    Args:
        preprocessing: The bundle's or the checkpoint's.
        sound: The input's sound.
        owned: Says at which times, float64 ``[S]``, the sound is this person's, bool ``[S]``.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        sound: SoundStream,
        owned: Callable[[NDArray[np.float64]], NDArray[np.bool_]],
    ) -> None:
        gate, statistics = preprocessing.audio.gate, preprocessing.normalization.audio
        self._sound = sound
        self._width = preprocessing.audio.embedding_dim
        self._owned = owned
        self._gate = None if gate is None else LevelGate(gate)
        self._norm = None if statistics is None else RunningNorm(statistics)
        self._heard: int | None = None  # tokens before this one are in both

    def gather(self, times_seconds: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Tokens that begin nearest to the given times, normalised by what was heard up to the last of them.

        Args:
            times_seconds: float64 ``[S]``, ascending, ending no earlier than those of the last call.

        Returns:
            float32 ``[S, D]`` tokens, zeros where there is no sound, and float32 ``[S]`` mask, 1 where
            there is.
        """
        indices = self._sound.indices(times_seconds)
        values = np.zeros((len(times_seconds), self._width), np.float32)
        mask = np.zeros(len(times_seconds), np.float32)
        if not len(indices):
            return values, mask
        self._listen(indices)
        tokens, heard = self._hear(indices)
        values[heard] = tokens if self._norm is None else self._norm.apply(tokens)
        mask[heard] = 1.0
        return values, mask

    def _listen(self, indices: NDArray[np.int64]) -> None:
        """Take every token up to the last of these into the statistics, once."""
        if self._gate is None and self._norm is None:
            return
        first = int(indices[0]) if self._heard is None else self._heard
        self._heard = max(first, int(indices[-1]) + 1)
        for start in range(first, self._heard, BLOCK_TOKENS):
            new = np.arange(start, min(start + BLOCK_TOKENS, self._heard))
            if self._gate is not None:
                tokens = self._sound.take(new)
                self._gate.add(np.where(tokens.real, tokens.levels_dbfs, SILENCE_DBFS))
            if self._norm is not None:
                self._norm.add(self._hear(new)[0])

    def _hear(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """The tokens among these that are this person's and loud enough ``[N, D]``, and which they are."""
        tokens = self._sound.take(indices)
        heard = tokens.real & self._owned(self._sound.times_seconds(indices))
        if self._gate is not None:
            heard &= self._gate.open(tokens.levels_dbfs)
        return tokens.values[heard], heard
