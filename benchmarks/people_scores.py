"""Figures with their 95 % intervals, as benchmarks/people.py prints and saves them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score

DRAWS: Final = 1000
"""Bootstrap samples of an interval."""

Measure = Callable[[NDArray[np.int64], NDArray[np.int64]], float]
"""Of true and given classes, int64 ``[N]`` each."""


@dataclass(frozen=True)
class Figure:
    """One measure of one method on one kind of material.

    Attributes:
        section: Part of the benchmark.
        material: What was recognised.
        method: By what.
        measure: What is told.
        value: The figure.
        low: Lower end of its 95 % interval.
        high: Upper end.
        count: How many pictures, clips or frames it is about.
    """

    section: str
    material: str
    method: str
    measure: str
    value: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return (
            f"{self.material:<22}{self.method:<26}{self.measure:<24}"
            f"{self.value:7.3f}  [{self.low:.3f}, {self.high:.3f}]  n = {self.count}"
        )


def accuracy(truth: NDArray[np.int64], given: NDArray[np.int64]) -> float:
    """Share that is right."""
    return float((truth == given).mean())


def macro_f1(truth: NDArray[np.int64], given: NDArray[np.int64]) -> float:
    """Mean F1 of the classes that occur in the truth."""
    return float(f1_score(truth, given, labels=np.unique(truth), average="macro", zero_division=0.0))


def unweighted_recall(truth: NDArray[np.int64], given: NDArray[np.int64]) -> float:
    """Mean recall of the classes that occur in the truth (UAR)."""
    return float(np.mean([(given[truth == label] == label).mean() for label in np.unique(truth)]))


def interval(
    measure: Measure,
    truth: NDArray[np.int64],
    given: NDArray[np.int64],
    groups: NDArray[np.int64] | None = None,
    draws: int = DRAWS,
) -> tuple[float, float]:
    """95 % bootstrap interval of a measure (percentiles, seeded).

    Args:
        measure: Of classes.
        truth: ``[N]``.
        given: ``[N]``.
        groups: Numbers of clips or persons, ``[N]``, which are drawn whole; ``None`` draws items.
        draws: How many samples.
    """
    rng = np.random.default_rng(0)
    members = _members(np.arange(len(truth)) if groups is None else groups)
    values = []
    for _ in range(draws):
        chosen = np.concatenate([members[one] for one in rng.integers(len(members), size=len(members))])
        values.append(measure(truth[chosen], given[chosen]))
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)


def _members(groups: NDArray[np.int64]) -> Sequence[NDArray[np.int64]]:
    order = np.argsort(groups, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
