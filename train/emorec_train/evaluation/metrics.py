"""Scores of labels: accuracy, the mean of the classes' F1 scores, which is ABAW's, UAR and weighted F1.

All of them follow from the confusion matrix, so that folds are pooled by adding matrices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_train.data.labels import IGNORED

RESAMPLES: Final = 1000
"""Bootstrap samples of an interval."""

CONFIDENCE: Final = 0.95
"""Of the bootstrap intervals."""


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """Scores of predicted labels.

    Attributes:
        accuracy: Share of labelled steps that are right (weighted accuracy, WA).
        macro_f1: Mean of ``f1``.
        uar: Mean recall of the classes that occur in the truth (unweighted average recall).
        weighted_f1: Mean of ``f1``, weighted by the classes' steps.
        f1: By class name.
        steps: Number of labelled steps.
        confusion: Steps of each class, a row, that were taken for each class, a column.
    """

    accuracy: float
    macro_f1: float
    uar: float = 0.0
    weighted_f1: float = 0.0
    f1: dict[str, float]
    steps: int
    confusion: list[list[int]] = []


def score(truth: NDArray[np.int64], predicted: NDArray[np.int64], names: Sequence[str]) -> Scores:
    """Compare int64 ``[N]`` labels; steps whose truth is ``IGNORED`` don't count.

    A class without any step in truth and prediction scores 0, as in the challenge.
    """
    return matrix_scores(confusion(truth, predicted, len(names)), names)


def matrix_scores(matrix: NDArray[np.int64], names: Sequence[str]) -> Scores:
    """Scores of a confusion matrix int64 ``[C, C]``, rows the truth; all 0 for an empty one."""
    f1, recall, support = _f1(matrix), _recall(matrix), matrix.sum(axis=1)
    steps = int(support.sum())
    return Scores(
        accuracy=float(np.trace(matrix) / max(steps, 1)),
        macro_f1=float(f1.mean()),
        uar=float(recall[support > 0].mean()) if steps else 0.0,
        weighted_f1=float((f1 * support).sum() / max(steps, 1)),
        f1={name: round(float(value), 4) for name, value in zip(names, f1, strict=True)},
        steps=steps,
        confusion=matrix.tolist(),
    )


def _f1(matrices: NDArray[np.int64]) -> NDArray[np.float64]:
    """F1 of each class, ``[..., C]``, of confusion matrices ``[..., C, C]``."""
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    both = matrices.sum(axis=-1) + matrices.sum(axis=-2)
    return np.asarray(2.0 * hits / np.maximum(both, 1))


def _recall(matrices: NDArray[np.int64]) -> NDArray[np.float64]:
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    return np.asarray(hits / np.maximum(matrices.sum(axis=-1), 1))


def macro_f1_interval(matrices: Sequence[NDArray[np.int64]], *, seed: int = 0) -> tuple[float, float]:
    """Bootstrap interval of macro F1 over clips or speakers, drawn with replacement (Efron's percentiles).

    Steps of one clip are alike, so that an interval over steps would be far too narrow.

    Args:
        matrices: Confusion matrix ``[C, C]`` of each clip or speaker.
        seed: Of the draws.
    """
    parts = np.stack(list(matrices))
    rng = np.random.default_rng(seed)
    drawn = rng.multinomial(len(parts), np.full(len(parts), 1.0 / len(parts)), size=RESAMPLES)  # [R, N]
    sums = np.tensordot(drawn, parts, axes=1)
    low, high = np.quantile(_f1(sums).mean(axis=-1), [(1.0 - CONFIDENCE) / 2.0, (1.0 + CONFIDENCE) / 2.0])
    return float(low), float(high)


def class_support(truth: NDArray[np.int64], names: Sequence[str]) -> dict[str, int]:
    """Labelled steps of each class."""
    counts = np.bincount(truth[truth != IGNORED], minlength=len(names)).tolist()
    return dict(zip(names, counts, strict=True))


def present_macro_f1(scores: Scores, support: Mapping[str, int]) -> float:
    """Mean F1 of the classes that occur in the truth: an absent class can't be met, and hides losses."""
    present = [value for name, value in scores.f1.items() if support[name]]
    return float(np.mean(present)) if present else 0.0


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Confusion matrix int64 ``[C, C]``: rows are the truth, columns the predictions."""
    labelled = truth != IGNORED
    pairs = truth[labelled] * classes + predicted[labelled]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def present_f1(matrix: NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur in truth or prediction; NaN for an empty matrix."""
    occurs = (matrix.sum(axis=0) + matrix.sum(axis=1)) > 0
    return float(_f1(matrix)[occurs].mean()) if occurs.any() else float("nan")


def table(rows: dict[str, Scores]) -> str:
    """Scores side by side, a line each, with every class's F1."""
    names = list(next(iter(rows.values())).f1)
    width = max(16, *(len(row) + 1 for row in rows))
    head = "".join(f"{name:>9}" for name in ("accuracy", "macro F1", "UAR", "wtd F1"))
    lines = [f"{'':<{width}}{head}" + "".join(f"{name[:9]:>10}" for name in names)]
    lines += [
        f"{row:<{width}}{own.accuracy:>9.3f}{own.macro_f1:>9.3f}{own.uar:>9.3f}{own.weighted_f1:>9.3f}"
        + "".join(f"{own.f1[name]:>10.2f}" for name in names)
        for row, own in rows.items()
    ]
    return "\n".join(lines)
