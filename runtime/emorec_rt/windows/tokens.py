"""Audio tokens on their timeline, looked up by presentation time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import TOKEN_RATE_HZ
from emorec_rt.windows.chunks import AudioChunker, Chunk
from emorec_rt.windows.gate import SILENCE_DBFS, token_levels
from emorec_rt.windows.schedule import Schedule

LONGER_WAIT_SECONDS = 0.3
"""Rows wait no longer than this beyond the schedule's patience for the long chunks of a slow machine."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one input.

    Attributes:
        values: float32 ``[S, D]``, zeros where there is no sound.
        real: bool ``[S]``, whether there are samples under a token.
        levels_dbfs: float32 ``[S]``, level of what a token hears.
    """

    values: NDArray[np.float32]
    real: NDArray[np.bool_]
    levels_dbfs: NDArray[np.float32]


class TokenTimeline:
    """The tokens of one input: what has been encoded, what is under way, what will never come.

    Attributes:
        missed: Whether sound was given up while it was being encoded.
    """

    def __init__(self, audio: Audio, schedule: Schedule) -> None:
        self._left_tokens = schedule.left_tokens
        self._chunker = AudioChunker(audio, schedule.left_tokens, schedule.right_tokens)
        self._patience_seconds = schedule.patience_seconds
        self._live = schedule.causal_smoothing
        self._width = audio.embedding_dim
        self._stored: dict[int, Tokens] = {}
        self._pending: set[int] = set()
        self._finished = False
        self.missed = False

    @property
    def chunker(self) -> AudioChunker:
        """The chunker that feeds this timeline."""
        return self._chunker

    def expect(self, chunk: Chunk) -> None:
        """Note that a chunk is being encoded."""
        self._pending.update(range(chunk.index, chunk.index + chunk.cores))

    def store(self, chunk: Chunk, core_tokens: NDArray[np.float32]) -> None:
        """Keep a chunk's core tokens, float32 ``[cores * core, D]``."""
        first = self._left_tokens - (chunk.cores - 1) * self._chunker.core
        levels = token_levels(chunk.samples, first, len(core_tokens))
        for k in range(chunk.cores):
            part = slice(k * self._chunker.core, (k + 1) * self._chunker.core)
            self._pending.discard(chunk.index + k)
            self._stored[chunk.index + k] = Tokens(core_tokens[part], chunk.mask[part], levels[part])

    def finish(self) -> None:
        """No more sound will come."""
        self._finished = True

    def ready(self, until_seconds: float, newest_seconds: float) -> bool:
        """Say whether everything before ``until_seconds`` is encoded, or will never come.

        Args:
            until_seconds: End of the stretch that is asked for.
            newest_seconds: How far the picture has come; sound that lags it for too long is given up.
        """
        longer_chunks = (self._chunker.cores - 1) * self._chunker.core / TOKEN_RATE_HZ
        patience = self._patience_seconds + min(longer_chunks, LONGER_WAIT_SECONDS)
        overdue = newest_seconds - until_seconds > patience
        if self._chunker.origin_seconds is None:
            return self._finished or overdue
        last = self._chunk_of(self._token_at(until_seconds))
        if self._pending and min(self._pending) <= last:
            given_up = self._live and overdue  # a file has the time, and rows that are always the same
            self.missed |= given_up
            return given_up
        return self._finished or overdue or last < self._chunker.next_index

    def indices(self, times_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Tokens that begin nearest to the given times, int64 ``[S]``; none before the first sample."""
        if self._chunker.origin_seconds is None:
            return np.zeros(0, np.int64)
        return np.rint((times_seconds - self._chunker.origin_seconds) * TOKEN_RATE_HZ).astype(np.int64)

    def take(self, indices: NDArray[np.int64]) -> Tokens:
        """Tokens by index, int64 ``[S]``."""
        count = len(indices)
        taken = Tokens(
            np.zeros((count, self._width), np.float32),
            np.zeros(count, np.bool_),
            np.full(count, SILENCE_DBFS, np.float32),
        )
        chunks, within = np.divmod(indices, self._chunker.core)
        for index in np.unique(chunks).tolist():
            if index in self._stored:
                stored = self._stored[index]
                here = np.flatnonzero(chunks == index)
                here = here[stored.real[within[here]]]
                taken.values[here] = stored.values[within[here]]
                taken.real[here] = True
                taken.levels_dbfs[here] = stored.levels_dbfs[within[here]]
        return taken

    def forget(self, before_seconds: float) -> None:
        """Drop tokens that no later window can ask for."""
        if self._chunker.origin_seconds is None:
            return
        first = self._chunk_of(self._token_at(before_seconds))
        for index in [index for index in self._stored if index < first]:
            del self._stored[index]

    def _token_at(self, time_seconds: float) -> int:
        origin = self._chunker.origin_seconds or 0.0
        return round((time_seconds - origin) * TOKEN_RATE_HZ)

    def _chunk_of(self, token: int) -> int:
        return token // self._chunker.core
