"""From logits to labels as a bundle's ``decoding`` has it, on whole clips, and how that is tuned.

Shapes: ``N`` steps of a clip, ``C`` classes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Decoding

SMOOTHING_SECONDS: Final = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Lengths of the moving average that are tried."""

STRENGTHS: Final = (-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0)
"""Factors on the logarithm of the prior that are tried: 1 corrects a plain model in full (Menon et al. 2021),
-1 takes back the adjustment that a model was trained with."""


@dataclass(frozen=True, slots=True)
class Tuned:
    """Chosen decoding, and the scores that chose it.

    Attributes:
        decoding: For the manifest.
        strength: Factor on the prior's logarithm.
        before: Validation score without smoothing and correction.
        after: Validation score with them.
    """

    decoding: Decoding
    strength: float
    before: float
    after: float


def predict(
    times_seconds: NDArray[np.float64],
    logits: NDArray[np.float32],
    decoding: Decoding | None = None,
    at_seconds: NDArray[np.float64] | None = None,
) -> NDArray[np.int64]:
    """Labels of a clip's steps, or of its frames as the runtime's ``RowBuilder`` gives them.

    Arguments as of ``decode``.

    Returns:
        int64 ``[N]``, or ``[M]``.
    """
    return np.asarray(decode(times_seconds, logits, decoding, at_seconds).argmax(axis=1), np.int64)


def decode(
    times_seconds: NDArray[np.float64],
    logits: NDArray[np.float32],
    decoding: Decoding | None = None,
    at_seconds: NDArray[np.float64] | None = None,
) -> NDArray[np.float32]:
    """Smooth and correct the logits of a clip.

    Args:
        times_seconds: ``[N]``, ascending.
        logits: ``[N, C]``, stitched.
        decoding: Smoothing and prior correction; ``None`` for neither.
        at_seconds: ``[M]``, times of frames: logits are interpolated between steps. ``None``: the steps.

    Returns:
        float32 ``[N, C]``, or ``[M, C]``.
    """
    if decoding is not None:
        logits = smooth(times_seconds, logits, decoding.smoothing_seconds)
        logits = logits + np.asarray(decoding.logit_bias or 0.0, np.float32)
    if at_seconds is not None:
        logits = interpolate(times_seconds, logits, at_seconds)
    return np.asarray(logits, np.float32)


def interpolate(
    times_seconds: NDArray[np.float64], logits: NDArray[np.float32], at_seconds: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Logits ``[M, C]`` at the times of frames; before the first step and after the last one, theirs."""
    columns = [np.interp(at_seconds, times_seconds, column) for column in logits.T]
    return np.stack(columns, axis=1).astype(np.float32)


def smooth(
    times_seconds: NDArray[np.float64], logits: NDArray[np.float32], seconds: float
) -> NDArray[np.float32]:
    """The centred moving average of the runtime's ``Smoother``, on a whole clip at once."""
    if seconds == 0.0:
        return logits
    first = np.searchsorted(times_seconds, times_seconds - seconds / 2.0, side="left")
    last = np.searchsorted(times_seconds, times_seconds + seconds / 2.0, side="right")
    sums = np.concatenate([np.zeros((1, logits.shape[1])), np.cumsum(logits, axis=0, dtype=np.float64)])
    return np.asarray((sums[last] - sums[first]) / (last - first)[:, None], np.float32)


def prior_bias(counts: NDArray[np.int64], strength: float) -> tuple[float, ...]:
    """Logit adjustment: minus the logarithm of each class's share in training, around 0.

    Args:
        counts: int64 ``[C]``, labelled steps of each class; a class without any counts as having one.
        strength: Factor on it; 0 is no correction, an empty tuple.
    """
    if strength == 0.0:
        return ()
    logarithms = np.log(np.maximum(counts, 1))
    return tuple(np.round(strength * (logarithms.mean() - logarithms), 4).tolist())


def tune(
    score_of: Callable[[Decoding], float],
    counts: NDArray[np.int64],
    *,
    smoothing_seconds: Sequence[float] = SMOOTHING_SECONDS,
    strengths: Sequence[float] = STRENGTHS,
) -> Tuned:
    """Try every pair and keep the best; between equals the one that changes less.

    Args:
        score_of: Score of a decoding on the validation split, the larger the better.
        counts: As ``prior_bias`` takes them, of the training split.
        smoothing_seconds: Lengths to try, ascending.
        strengths: Strengths to try.
    """
    before = score_of(Decoding())
    best = Tuned(Decoding(), 0.0, before, before)
    for seconds in smoothing_seconds:
        for strength in sorted(strengths, key=abs):
            decoding = Decoding(smoothing_seconds=seconds, logit_bias=prior_bias(counts, strength))
            if (score := score_of(decoding)) > best.after:
                best = Tuned(decoding, strength, before, score)
    return best
