"""Scores of step labels: accuracy, and the mean of the classes' F1 scores, which is ABAW's measure."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score

from emorec_train.labels import IGNORED


class Scores(msgspec.Struct, frozen=True, kw_only=True):
    """How well labels were met.

    Attributes:
        accuracy: Share of labelled steps that are right.
        macro_f1: Mean of ``f1``.
        f1: By class name.
        steps: How many labelled steps there were.
    """

    accuracy: float
    macro_f1: float
    f1: dict[str, float]
    steps: int


def score(truth: NDArray[np.int64], predicted: NDArray[np.int64], names: Sequence[str]) -> Scores:
    """Compare int64 ``[N]`` labels; steps whose truth is ``IGNORED`` don't count.

    A class without any step, in truth or prediction, scores 0, as in the challenge.
    """
    labelled = truth != IGNORED
    truth, predicted = truth[labelled], predicted[labelled]
    if len(truth) == 0:
        return Scores(accuracy=0.0, macro_f1=0.0, f1=dict.fromkeys(names, 0.0), steps=0)
    f1 = f1_score(truth, predicted, labels=range(len(names)), average=None, zero_division=0.0)
    return Scores(
        accuracy=float(accuracy_score(truth, predicted)),
        macro_f1=float(np.mean(f1)),
        f1={name: round(float(value), 4) for name, value in zip(names, f1, strict=True)},
        steps=len(truth),
    )


def confusion(truth: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """How often each class, a row, was taken for each class, a column: int64 ``[C, C]``."""
    labelled = truth != IGNORED
    if not labelled.any():
        return np.zeros((classes, classes), np.int64)
    matrix = confusion_matrix(truth[labelled], predicted[labelled], labels=range(classes))
    return np.asarray(matrix, np.int64)


def clip_scores(truth: NDArray[np.int64], predicted: NDArray[np.int64]) -> tuple[int, float, float]:
    """Labelled steps, accuracy, and the mean F1 of the classes that occur, of one clip."""
    labelled = truth != IGNORED
    truth, predicted = truth[labelled], predicted[labelled]
    if len(truth) == 0:
        return 0, float("nan"), float("nan")
    macro = f1_score(truth, predicted, average="macro", zero_division=0.0)
    return len(truth), float(accuracy_score(truth, predicted)), float(macro)


def table(rows: dict[str, Scores]) -> str:
    """Scores side by side, a line each, with every class's F1."""
    names = list(next(iter(rows.values())).f1)
    lines = [f"{'':<16}{'accuracy':>9}{'macro F1':>9}" + "".join(f"{name[:9]:>10}" for name in names)]
    lines += [
        f"{row:<16}{scores.accuracy:>9.3f}{scores.macro_f1:>9.3f}"
        + "".join(f"{scores.f1[name]:>10.2f}" for name in names)
        for row, scores in rows.items()
    ]
    return "\n".join(lines)
