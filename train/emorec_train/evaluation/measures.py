"""Scores of what is told beside the classes, ABAW's: CCC of valence and arousal, F1 of action units."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.bundle.tasks import MEASURES, VALENCE_AROUSAL, Tasks
from emorec_train.evaluation.decoding import decode
from emorec_train.evaluation.stitched import StitchedClip


class MeasureScores(msgspec.Struct, frozen=True, kw_only=True):
    """Scores over all labelled frames or steps.

    Attributes:
        ccc: Concordance correlation coefficient of valence and of arousal; empty without them.
        mean_ccc: Their mean, which the challenge takes; 0 without them.
        f1: F1 of each action unit that has labels, present from a probability of 0.5.
        macro_f1: Their mean, which the challenge takes; 0 without them.
        labels: Number of labels of each.
    """

    ccc: dict[str, float] = {}
    mean_ccc: float = 0.0
    f1: dict[str, float] = {}
    macro_f1: float = 0.0
    labels: dict[str, int] = {}


def score_measures(
    clips: Sequence[StitchedClip], tasks: Tasks, decoding: Decoding | None = None
) -> MeasureScores | None:
    """Score all clips, smoothed as a bundle with this ``decoding`` would; ``None`` where nothing can be."""
    known = [clip for clip in clips if clip.measures is not None]
    if not tasks or not known:
        return None
    pairs = [_pair(clip, decoding) for clip in known]
    predicted, truth = (np.concatenate(part) for part in zip(*pairs, strict=True))
    return compare_measures(predicted, truth, tasks)


def compare_measures(
    predicted: NDArray[np.float32], truth: NDArray[np.float32], tasks: Tasks
) -> MeasureScores:
    """Score what a model gave, action units as logits, by the truth.

    Args:
        predicted: float32 ``[N, K]``, the tasks' measures.
        truth: float32 ``[N, M]``, all measures, NaN where a label is missing.
        tasks: The model's.
    """
    places = [MEASURES.index(name) for name in tasks.measures]
    columns = {
        name: (predicted[:, k], truth[:, place])
        for k, (name, place) in enumerate(zip(tasks.measures, places, strict=True))
    }
    labelled = {name: (own[~np.isnan(true)], true[~np.isnan(true)]) for name, (own, true) in columns.items()}
    ccc = {name: concordance(*pair) for name, pair in labelled.items() if name in VALENCE_AROUSAL}
    f1 = {
        name: presence_f1(own > 0.0, true > 0.5)
        for name, (own, true) in labelled.items()
        if name in tasks.action_units and len(true)
    }
    return MeasureScores(
        ccc={name: round(value, 4) for name, value in ccc.items()},
        mean_ccc=float(np.mean(list(ccc.values()))) if ccc else 0.0,
        f1={name: round(value, 4) for name, value in f1.items()},
        macro_f1=float(np.mean(list(f1.values()))) if f1 else 0.0,
        labels={name: len(true) for name, (_, true) in labelled.items()},
    )


def _pair(clip: StitchedClip, decoding: Decoding | None) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """What the model gave, ``[R, K]``, and the truth, ``[R, M]``."""
    assert clip.outputs is not None and clip.measures is not None  # noqa: S101, PT018 - of a model with tasks
    smoothing = Decoding(smoothing_seconds=decoding.smoothing_seconds) if decoding else None
    given = decode(clip.times_seconds, clip.outputs, smoothing, clip.at_seconds)
    return given, clip.measures


def concordance(predicted: NDArray[np.float32], truth: NDArray[np.float32]) -> float:
    """Lin's concordance correlation coefficient (1989) of ``[N]`` with ``[N]``; 0 where neither varies."""
    x, y = predicted.astype(np.float64), truth.astype(np.float64)
    if not len(y):
        return 0.0
    spread = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    covariance = ((x - x.mean()) * (y - y.mean())).mean()
    return float(2.0 * covariance / spread) if spread else 0.0


def presence_f1(predicted: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """F1 of "present", ``[N]`` each; 0 where it is neither true nor predicted, as in the challenge."""
    both = int(predicted.sum() + truth.sum())
    return 2.0 * int((predicted & truth).sum()) / both if both else 0.0


def measure_lines(scores: MeasureScores) -> str:
    """The scores for a terminal, a line for each kind."""
    lines = []
    if scores.ccc:
        each = ", ".join(f"{name} {value:.3f}" for name, value in scores.ccc.items())
        lines.append(f"CCC {scores.mean_ccc:.3f}: {each}")
    if scores.f1:
        each = ", ".join(f"{name} {value:.2f}" for name, value in scores.f1.items())
        lines.append(f"action units, macro F1 {scores.macro_f1:.3f}: {each}")
    return "\n".join(lines)
