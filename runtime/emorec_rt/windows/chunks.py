"""Sound into fixed-length chunks with context, so that wav2vec 2.0 can stream.

The token timeline starts at the first sample: token ``j`` begins ``j / TOKEN_RATE_HZ`` seconds later.
A chunk is a core with context on both sides; only the core's tokens are kept::

    tokens   |ctx|      core      |ctx|
                       |ctx|      core      |ctx|
    time     ------------------------------------->

Gaps stay gaps: they are zeros for the encoder and masked tokens for the fusion, at their true time. Digital
silence is masked, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Audio
from emorec_rt.constants import SAMPLE_RATE_HZ, TOKEN_HOP_SAMPLES, TOKEN_RECEPTIVE_SAMPLES
from emorec_rt.media.types import Samples
from emorec_rt.windows.silence import AHEAD_TOKENS, SilenceGate, token_peaks

RESYNC_SAMPLES = SAMPLE_RATE_HZ * 40 // 1000
"""Timestamps may jitter by less than this (containers round to milliseconds) before they are believed."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One input of the audio encoder.

    Attributes:
        index: Position of its first core; cores are tokens ``[index * core, (index + 1) * core)``.
        cores: How many cores it has; more than one where there is no time for a chunk each.
        samples: float32 ``[chunk_samples]``, context included, zeros where there is no sound.
        mask: bool ``[cores * core]``, true where a core token has audible sound under its centre.
    """

    index: int
    cores: int
    samples: NDArray[np.float32]
    mask: NDArray[np.bool_]


class AudioChunker:
    """Cut one stream of sound into chunks. Memory is bounded by one chunk and one block.

    Args:
        audio: The bundle's audio preprocessing.
        left_tokens: Context before the core of a chunk.
        right_tokens: Context after it.

    Attributes:
        core: Tokens that a chunk of one core contributes.
        cores: Cores of the next chunks; more than one leaves them less context before.
        origin_seconds: Presentation time of token 0; ``None`` before the first sample.
        end_seconds: Presentation time of the end of the sound so far; ``-inf`` before the first sample.
        next_index: Chunks before this one have been cut or skipped for want of sound.
    """

    def __init__(self, audio: Audio, left_tokens: int, right_tokens: int) -> None:
        self._context = left_tokens * TOKEN_HOP_SAMPLES
        self._length = audio.chunk_samples
        self.core = audio.chunk_tokens - left_tokens - right_tokens
        self.cores = 1
        self.origin_seconds: float | None = None
        self.next_index = 0
        self._base = -self._context  # sample index of the buffer's first sample: where the next chunk starts
        self._pcm = np.zeros(self._context, np.float32)
        self._real = np.zeros(self._context, np.bool_)
        self._left_tokens = left_tokens
        self._ahead = min(right_tokens, AHEAD_TOKENS)
        self._gate = SilenceGate()

    @property
    def end_seconds(self) -> float:
        """Presentation time of the end of the sound so far."""
        if self.origin_seconds is None:
            return -np.inf
        return self.origin_seconds + self._end / SAMPLE_RATE_HZ

    @property
    def complete_cores(self) -> int:
        """Cores that one chunk could have now."""
        spare = len(self._pcm) - self._length
        return max(spare // (self.core * TOKEN_HOP_SAMPLES) + 1, 0)

    def push(self, block: Samples) -> list[Chunk]:
        """Add a block of sound; return the chunks that it completes."""
        if self.origin_seconds is None:
            self.origin_seconds = block.pts_seconds
        offset = round((block.pts_seconds - self.origin_seconds) * SAMPLE_RATE_HZ)
        drift = offset - self._end
        chunks: list[Chunk] = []
        pcm = block.pcm
        if drift > self._length:
            chunks += self._leap(offset)
        elif drift > RESYNC_SAMPLES:
            self._append(np.zeros(drift, np.float32), real=False)
        elif drift < -RESYNC_SAMPLES:
            pcm = pcm[-drift:]  # sound that overlaps what has been heard
        self._append(pcm, real=True)
        return chunks + list(self._complete())

    def finish(self) -> list[Chunk]:
        """End of the stream: return what is left, padded with zeros."""
        if self.origin_seconds is None:
            return []
        chunks = list(self._complete())
        while self._real.any() and self._core_start < self._end:
            left = -(-(self._end - self._core_start) // (self.core * TOKEN_HOP_SAMPLES))
            chunks += self._cut(min(self.cores, left))
        return chunks

    @property
    def _end(self) -> int:
        return self._base + len(self._pcm)

    @property
    def _core_start(self) -> int:
        return self._base + self._context

    def _append(self, pcm: NDArray[np.float32], *, real: bool) -> None:
        self._pcm = np.concatenate([self._pcm, pcm])
        self._real = np.concatenate([self._real, np.full(len(pcm), real)])

    def _complete(self) -> Iterator[Chunk]:
        while len(self._pcm) >= self._length + self._skipped(self.cores):
            yield from self._cut(self.cores)

    def _skipped(self, cores: int) -> int:
        """Samples of context that a chunk of so many cores has no room for."""
        return (cores - 1) * self.core * TOKEN_HOP_SAMPLES

    def _cut(self, cores: int) -> list[Chunk]:
        """Take the next chunk off the buffer; nothing when its cores are silent."""
        inside = slice(self._skipped(cores), self._skipped(cores) + self._length)
        samples, real = self._pcm[inside], self._real[inside]
        missing = self._length - len(samples)
        samples, real = np.pad(samples, (0, missing)), np.pad(real, (0, missing))
        first = self._left_tokens - (cores - 1) * self.core
        tokens = TOKEN_HOP_SAMPLES * np.arange(first, first + cores * self.core)
        peaks = token_peaks(samples, first, cores * self.core + self._ahead)
        audible = self._gate.open(peaks, self._ahead)
        chunk = Chunk(self.next_index, cores, samples, real[tokens + TOKEN_RECEPTIVE_SAMPLES // 2] & audible)
        self._advance(cores)
        return [chunk] if chunk.mask.any() else []

    def _advance(self, chunks: int) -> None:
        step = chunks * self.core * TOKEN_HOP_SAMPLES
        self.next_index += chunks
        self._base += step
        self._pcm, self._real = self._pcm[step:], self._real[step:]

    def _leap(self, offset: int) -> list[Chunk]:
        """Cross a gap longer than a chunk without filling it with zeros."""
        chunks = self.finish()
        skipped = offset // (self.core * TOKEN_HOP_SAMPLES) - self.next_index
        self._advance(max(skipped, 0))
        padding = max(offset - self._base, 0)
        self._pcm, self._real = np.zeros(padding, np.float32), np.zeros(padding, np.bool_)
        return chunks
