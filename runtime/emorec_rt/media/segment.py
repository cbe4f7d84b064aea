"""One run of sound without a gap, resampled to 16 kHz and cut into blocks."""

from __future__ import annotations

from typing import Final

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from numpy.typing import NDArray

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.media.types import Samples

BLOCK_SECONDS: Final = 0.25
"""Blocks have at least this much sound, but for the last before a gap."""

LIVE_BLOCK_SECONDS: Final = 0.04
"""Of what is read as it comes: a block's first sample waits for its last."""


class Segment:
    """Sound of one rate that goes on without a gap.

    Times are counted in samples from the segment's start, so the resampler's delay doesn't show: its output
    is aligned with its input, it only comes later.

    Args:
        start_seconds: Presentation time of the first sample.
        rate_hz: Rate of what is pushed.
        block_seconds: Sound that a block has at least.
    """

    def __init__(self, start_seconds: float, rate_hz: int, block_seconds: float = BLOCK_SECONDS) -> None:
        self.start_seconds = start_seconds
        self.rate_hz = rate_hz
        self._block_samples = round(block_seconds * SAMPLE_RATE_HZ)
        self._resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        self._waiting: list[NDArray[np.float32]] = []
        self._samples_in = 0
        self._samples_out = 0
        self._samples_waiting = 0

    @property
    def end_seconds(self) -> float:
        """Presentation time of the end of what was pushed."""
        return self.start_seconds + self._samples_in / self.rate_hz

    def push(self, pcm: NDArray[np.float32]) -> list[Samples]:
        """Add float32 ``[N]``; return the blocks that are full."""
        self._samples_in += len(pcm)
        if self.rate_hz == SAMPLE_RATE_HZ:
            self._wait(pcm)
        elif len(pcm):
            frame = AudioFrame.from_ndarray(pcm.reshape(1, -1), format="flt", layout="mono")
            frame.sample_rate = self.rate_hz
            self._collect(self._resampler.resample(frame))
        return self._block() if self._samples_waiting >= self._block_samples else []

    def finish(self) -> list[Samples]:
        """End the segment; return its last block."""
        if self.rate_hz != SAMPLE_RATE_HZ:
            self._collect(self._resampler.resample(None))
        return self._block()

    def _collect(self, frames: list[AudioFrame]) -> None:
        for frame in frames:
            self._wait(np.asarray(frame.to_ndarray(), np.float32).reshape(-1))

    def _wait(self, pcm: NDArray[np.float32]) -> None:
        self._waiting.append(pcm)
        self._samples_waiting += len(pcm)

    def _block(self) -> list[Samples]:
        # The resampler's last samples reach past the sound's end by its filter; they are not sound.
        room = round(self._samples_in * SAMPLE_RATE_HZ / self.rate_hz) - self._samples_out
        pcm = np.concatenate([*self._waiting, np.zeros(0, np.float32)])[:room]
        start = self.start_seconds + self._samples_out / SAMPLE_RATE_HZ
        self._waiting, self._samples_waiting = [], 0
        self._samples_out += len(pcm)
        return [Samples(start, np.clip(pcm, -1.0, 1.0))] if len(pcm) else []
