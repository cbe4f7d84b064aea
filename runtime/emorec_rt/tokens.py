"""Audio tokens on their timeline, looked up by presentation time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from emorec_rt.audio import AudioChunker, Chunk
from emorec_rt.manifest import Audio
from emorec_rt.schedule import Schedule
from emorec_rt.signal import TOKEN_RATE_HZ


class TokenTimeline:
    """The tokens of one input: what has been encoded, what is under way, what will never come."""

    def __init__(self, audio: Audio, schedule: Schedule) -> None:
        self._chunker = AudioChunker(audio, schedule.left_tokens, schedule.right_tokens)
        self._patience_seconds = schedule.patience_seconds
        self._width = audio.embedding_dim
        self._stored: dict[int, tuple[NDArray[np.float32], NDArray[np.bool_]]] = {}
        self._pending: set[int] = set()
        self._finished = False

    @property
    def chunker(self) -> AudioChunker:
        """The chunker that feeds this timeline."""
        return self._chunker

    def expect(self, chunk: Chunk) -> None:
        """Note that a chunk is being encoded."""
        self._pending.add(chunk.index)

    def store(self, chunk: Chunk, core_tokens: NDArray[np.float32]) -> None:
        """Keep a chunk's core tokens, float32 ``[core, D]``."""
        self._pending.discard(chunk.index)
        self._stored[chunk.index] = (core_tokens, chunk.mask)

    def finish(self) -> None:
        """No more sound will come."""
        self._finished = True

    def ready(self, until_seconds: float, newest_seconds: float) -> bool:
        """Whether everything before ``until_seconds`` is encoded, or will never come.

        Args:
            until_seconds: End of the stretch that is asked for.
            newest_seconds: How far the picture has come; sound that lags it for too long is given up.
        """
        given_up = self._finished or newest_seconds - until_seconds > self._patience_seconds
        if self._chunker.origin_seconds is None:
            return given_up
        last = self._chunk_of(self._token_at(until_seconds))
        if self._pending and min(self._pending) <= last:
            return False
        return given_up or last < self._chunker.next_index

    def gather(self, times_seconds: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Tokens that begin nearest to the given times.

        Args:
            times_seconds: float64 ``[S]``.

        Returns:
            float32 ``[S, D]`` tokens, zeros where there is no sound, and float32 ``[S]`` mask, 1 where
            there is.
        """
        tokens = np.zeros((len(times_seconds), self._width), np.float32)
        mask = np.zeros(len(times_seconds), np.float32)
        if self._chunker.origin_seconds is None:
            return tokens, mask
        indices = np.rint((times_seconds - self._chunker.origin_seconds) * TOKEN_RATE_HZ).astype(np.int64)
        chunks, within = np.divmod(indices, self._chunker.core)
        for index in np.unique(chunks).tolist():
            if index in self._stored:
                stored, real = self._stored[index]
                here = np.flatnonzero(chunks == index)
                here = here[real[within[here]]]
                tokens[here] = stored[within[here]]
                mask[here] = 1.0
        return tokens, mask

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
