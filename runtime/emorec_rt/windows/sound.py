"""Sound of one input: chunks -> audio encoder -> tokens on their timeline."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import TOKEN_RATE_HZ
from emorec_rt.engines.batching import Batcher, Pending
from emorec_rt.media.types import Samples
from emorec_rt.windows.chunks import Chunk
from emorec_rt.windows.pace import Pace
from emorec_rt.windows.schedule import Schedule
from emorec_rt.windows.tokens import Tokens, TokenTimeline


class SoundStream:
    """Encode the sound of one input once, for every person in it.

    Args:
        audio: Audio part of the preprocessing.
        schedule: When chunks are cut.
        encoder: Batcher of the audio encoder.
        has_sound: Whether samples are to be expected.
        pace: How often chunks are cut; ``None`` keeps the schedule.
    """

    def __init__(
        self,
        audio: Audio,
        schedule: Schedule,
        encoder: Batcher,
        *,
        has_sound: bool,
        pace: Pace | None = None,
    ) -> None:
        self._encoder = encoder
        self._pace = pace
        self._most_cores = schedule.most_cores
        self._left_tokens = schedule.left_tokens
        self._tokens = TokenTimeline(audio, schedule)
        self._encoding: deque[tuple[Chunk, Pending]] = deque()
        if not has_sound:
            self._tokens.finish()

    @property
    def begin_seconds(self) -> float | None:
        """Presentation time of the first sample; ``None`` before it."""
        return self._tokens.chunker.origin_seconds

    @property
    def end_seconds(self) -> float:
        """Presentation time of the end of the sound so far; ``-inf`` before the first sample."""
        return self._tokens.chunker.end_seconds

    def push(self, block: Samples) -> None:
        """Add a block of sound, in presentation order."""
        if self._pace is not None:
            self._tokens.chunker.cores = self._next_cores(self._pace)
        self._encode(self._tokens.chunker.push(block))

    def finish(self) -> None:
        """End the sound."""
        self._encode(self._tokens.chunker.finish())
        self._tokens.finish()

    def ready(self, until_seconds: float, newest_seconds: float) -> bool:
        """Say whether sound before ``until_seconds`` is encoded or will never come; see ``TokenTimeline``."""
        core = self._tokens.chunker.core
        while self._encoding and (outputs := self._encoding[0][1].outputs) is not None:
            chunk, _ = self._encoding.popleft()
            last = self._left_tokens + core
            self._tokens.store(chunk, outputs["tokens"][last - chunk.cores * core : last])
        return self._tokens.ready(until_seconds, newest_seconds=newest_seconds)

    def indices(self, times_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """Indices of the tokens at the given times; see ``TokenTimeline``."""
        return self._tokens.indices(times_seconds)

    def times_seconds(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """Times at which tokens begin, float64 ``[S]``."""
        return (self.begin_seconds or 0.0) + indices / TOKEN_RATE_HZ

    def take(self, indices: NDArray[np.int64]) -> Tokens:
        """Tokens by index; see ``TokenTimeline``."""
        return self._tokens.take(indices)

    def forget(self, before_seconds: float) -> None:
        """Drop tokens that no later window can ask for; ``-inf`` keeps all."""
        if before_seconds > -math.inf:
            self._tokens.forget(before_seconds)

    def _next_cores(self, pace: Pace) -> int:
        """Cores of the next chunk: while one is being encoded, the next one grows."""
        pace.sound_missed |= self._tokens.missed
        self._tokens.missed = False
        if self._encoding and self._encoding[-1][1].outputs is None:
            return self._most_cores
        wanted = max(round(pace.sound_stretch), self._tokens.chunker.complete_cores)
        return min(wanted, self._most_cores)

    def _encode(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self._tokens.expect(chunk)
            self._encoding.append((chunk, self._encoder.submit({"samples": chunk.samples})))
