"""Digital silence is no sound: a muted track counts like a missing one, in training as in use.

A track that is muted, or recorded from nothing, holds zeros or the last bits of a converter's noise. Pauses
of speech are louder than that, and short ones count as sound whatever their level.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import TOKEN_HOP_SAMPLES, TOKEN_RATE_HZ, TOKEN_RECEPTIVE_SAMPLES
from emorec_rt.media.sound import AUDIBLE_PEAK

OPEN_PEAK: Final = AUDIBLE_PEAK
"""Sound begins with a sample of this height."""

CLOSE_PEAK: Final = AUDIBLE_PEAK / 2
"""Sound goes on as long as there are samples of this height."""

HOLD_TOKENS: Final = TOKEN_RATE_HZ
"""Sound ends when it stays below ``CLOSE_PEAK`` for so long: one second."""

AHEAD_TOKENS: Final = 5
"""Tokens before sound that count as sound, as far as a chunk hears them: voices set in softly."""


class SilenceGate:
    """Gate of one track: tells the tokens that hold sound, in their order; closed at the start."""

    def __init__(self) -> None:
        self._quiet_tokens = HOLD_TOKENS

    def open(self, peaks: NDArray[np.float32], ahead: int = 0) -> NDArray[np.bool_]:
        """Say for the next tokens whether they hold sound, or come shortly before it.

        Args:
            peaks: float32 ``[N + A]``, the highest sample that each token hears; the last ``A`` are those of
                tokens after them.
            ahead: ``A``.

        Returns:
            bool ``[N]``.
        """
        count = len(peaks) - ahead
        opened = np.zeros(count, np.bool_)
        for k, peak in enumerate(peaks[:count].tolist()):
            was_open = self._quiet_tokens < HOLD_TOKENS
            if peak >= (CLOSE_PEAK if was_open else OPEN_PEAK):
                self._quiet_tokens = 0
            elif was_open:
                self._quiet_tokens += 1
            soon = peaks[k + 1 : k + 1 + ahead].max(initial=0.0) >= OPEN_PEAK
            opened[k] = self._quiet_tokens < HOLD_TOKENS or soon
        return opened


def token_peaks(samples: NDArray[np.float32], first: int, count: int) -> NDArray[np.float32]:
    """Measure the highest sample that each token hears, float32 ``[count]``.

    Args:
        samples: A chunk, float32 ``[N]``.
        first: The first token asked for.
        count: How many.
    """
    heard = samples[first * TOKEN_HOP_SAMPLES :][: (count - 1) * TOKEN_HOP_SAMPLES + TOKEN_RECEPTIVE_SAMPLES]
    windows = np.lib.stride_tricks.sliding_window_view(np.abs(heard), TOKEN_RECEPTIVE_SAMPLES)
    return np.asarray(windows[::TOKEN_HOP_SAMPLES].max(axis=1), np.float32)
