"""Schedule of windows and chunks: the bundle's for files, a quick one for live sources."""

from __future__ import annotations

import math
from dataclasses import dataclass

from emorec_rt.bundle.manifest import Preprocessing
from emorec_rt.windows.grid import DEFAULT_RATE_HZ

LIVE_HOP_SECONDS = 0.2
LIVE_LOOKAHEAD_SECONDS = 0.12
LIVE_AUDIO_CORE_TOKENS = 10
LIVE_AUDIO_RIGHT_TOKENS = 5


@dataclass(frozen=True, slots=True)
class Schedule:
    """Cutting points on the step grid and on the token timeline.

    A window ends at step ``first_end``, then every ``hop`` steps; it reaches ``T`` steps back, or to the
    first step. Once it is fused, all steps are settled but its last ``lookahead``.

    Attributes:
        first_end: End of the first window, exclusive, in steps.
        hop: Steps from one window's end to the next's.
        lookahead: Steps at a window's end that a later window will see with more future.
        left_tokens: Context before a chunk's core.
        right_tokens: Context after it.
        patience_seconds: Sound that lags the picture by more than this is taken as missing.
        causal_smoothing: Smooth over the past alone.
        most_cores: Cores of a chunk, at most, where there is no time for a chunk each.
    """

    first_end: int
    hop: int
    lookahead: int
    left_tokens: int
    right_tokens: int
    patience_seconds: float
    causal_smoothing: bool
    most_cores: int = 1


def file_schedule(spec: Preprocessing) -> Schedule:
    """Full windows with the bundle's stride: every step is seen with context on both sides."""
    return Schedule(
        first_end=spec.window.steps,
        hop=spec.window.stride,
        lookahead=spec.window.steps - spec.window.stride,
        left_tokens=spec.audio.context_tokens,
        right_tokens=spec.audio.context_tokens,
        patience_seconds=30.0,
        causal_smoothing=False,
    )


def live_schedule(spec: Preprocessing) -> Schedule:
    """Causal windows: a row waits for a fraction of a second of future, and for no more."""
    rate_hz = spec.grid.rate_hz or DEFAULT_RATE_HZ
    hop = max(round(LIVE_HOP_SECONDS * rate_hz), 1)
    right = min(LIVE_AUDIO_RIGHT_TOKENS, spec.audio.context_tokens)
    core = min(LIVE_AUDIO_CORE_TOKENS, spec.audio.chunk_tokens - right)
    return Schedule(
        first_end=hop,
        hop=hop,
        lookahead=min(math.ceil(LIVE_LOOKAHEAD_SECONDS * rate_hz), hop),
        left_tokens=spec.audio.chunk_tokens - right - core,
        right_tokens=right,
        patience_seconds=0.5,
        causal_smoothing=True,
        most_cores=max((spec.audio.chunk_tokens - right - spec.audio.context_tokens) // core, 1),
    )
