"""Speaker-disjoint splits and folds: seeded, stratified, the same on every machine.

The order of records plays no part: they are sorted by ``clip_id`` first. The method is that of scikit-learn's
``StratifiedGroupKFold``, with shares of any size and without depending on that library's version: speakers,
the largest first, go one after another where the class counts then come closest to what was asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_train.data.datasets.record import ClipRecord, DatasetError
from emorec_train.data.synthetic import Split

SHARES: Final[Mapping[Split, float]] = MappingProxyType({"train": 0.7, "validation": 0.15, "test": 0.15})
"""Shares of the splits, for data sets without any."""


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold of a cross-validation, both parts sorted by ``clip_id``."""

    train: tuple[ClipRecord, ...]
    validation: tuple[ClipRecord, ...]


def assign_splits(
    records: Sequence[ClipRecord],
    shares: Mapping[Split, float] = SHARES,
    *,
    seed: int = 0,
    source: str | Path = "splits",
) -> list[ClipRecord]:
    """The records with their splits, sorted by ``clip_id``; every split gets at least one speaker.

    Args:
        records: Their own splits are ignored.
        shares: How much of the labels goes to each split; need not add up to 1.
        seed: Of the order among speakers of one size.
        source: What an error names.

    Raises:
        DatasetError: There are fewer speakers than splits.
    """
    ordered = sorted(records, key=lambda record: record.clip_id)
    parts = _deal(ordered, list(shares.values()), seed, source)
    names = list(shares)
    return [replace(record, split=names[parts[record.group]], official_split=False) for record in ordered]


def k_folds(
    records: Sequence[ClipRecord], k: int, *, seed: int = 0, source: str | Path = "folds"
) -> list[Fold]:
    """Every record in exactly one fold's validation part, all of a speaker's in the same.

    Args:
        records: Their own splits are ignored.
        k: Number of folds, 2 or more.
        seed: Of the order among speakers of one size.
        source: What an error names.

    Raises:
        DatasetError: There are fewer speakers than folds, or fewer than two folds.
    """
    if k < 2:
        raise DatasetError(source, f"{k} folds are not a cross-validation; ask for 2 or more")
    ordered = sorted(records, key=lambda record: record.clip_id)
    parts = _deal(ordered, [1.0] * k, seed, source)
    return [
        Fold(
            tuple(record for record in ordered if parts[record.group] != fold),
            tuple(record for record in ordered if parts[record.group] == fold),
        )
        for fold in range(k)
    ]


def deal_fold(
    records: Sequence[ClipRecord], fold: int, folds: int, *, seed: int = 0, source: str | Path = "folds"
) -> list[ClipRecord]:
    """The splits of one run of a cross-validation, sorted by ``clip_id``.

    The fold is the test split, the one after it validation, which chooses the epoch, and the rest train: over
    all folds each clip is tested once, by a model that hasn't seen its speaker.

    Args:
        records: Their own splits are ignored.
        fold: Which one, from 1.
        folds: Of how many, 3 or more.
        seed: As of ``k_folds``.
        source: What an error names.

    Raises:
        DatasetError: There are fewer speakers than folds.
    """
    parts = k_folds(records, folds, seed=seed, source=source)
    held_out: dict[str, Split] = {
        **dict.fromkeys((record.clip_id for record in parts[fold % folds].validation), "validation"),
        **dict.fromkeys((record.clip_id for record in parts[fold - 1].validation), "test"),
    }
    ordered = sorted(records, key=lambda record: record.clip_id)
    return [
        replace(record, split=held_out.get(record.clip_id, "train"), official_split=False)
        for record in ordered
    ]


def _deal(
    records: Sequence[ClipRecord], shares: Sequence[float], seed: int, source: str | Path
) -> dict[str, int]:
    """Part of each group."""
    counts = _counts_by_group(records)
    if len(counts) < len(shares):
        raise DatasetError(
            source, f"{len(counts)} speakers can't be put into {len(shares)} parts that share none of them"
        )
    total = np.maximum(sum(counts.values(), np.zeros_like(next(iter(counts.values())))), 1)
    wanted = np.asarray(shares)[:, None] / sum(shares)
    held = np.zeros((len(shares), len(total)))
    parts: dict[str, int] = {}
    for left, group in zip(range(len(counts), 0, -1), _largest_first(counts, seed), strict=True):
        share = counts[group] / total
        empty = sorted(set(range(len(shares))) - set(parts.values()))
        allowed = empty if left == len(empty) else range(len(shares))
        part = min(allowed, key=lambda part: _cost(held, wanted, part, share))
        held[part] += share
        parts[group] = part
    return parts


def _counts_by_group(records: Sequence[ClipRecord]) -> dict[str, NDArray[np.float64]]:
    """Labels of each class, and clips as the last column, so that unlabelled clips count too."""
    counts: dict[str, NDArray[np.float64]] = {}
    for record in records:
        own = np.append(record.class_counts(), 1).astype(np.float64)
        counts[record.group] = counts[record.group] + own if record.group in counts else own
    return counts


def _largest_first(counts: Mapping[str, NDArray[np.float64]], seed: int) -> list[str]:
    groups = sorted(counts)
    shuffled = [groups[index] for index in np.random.default_rng(seed).permutation(len(groups))]
    return sorted(shuffled, key=lambda group: -float(counts[group][:-1].sum()))


def _cost(
    held: NDArray[np.float64], wanted: NDArray[np.float64], part: int, share: NDArray[np.float64]
) -> tuple[float, float]:
    """Distance of the parts from what was asked, once ``share`` is in ``part``; ties: the emptier part."""
    after = held.copy()
    after[part] += share
    return round(float((((after - wanted) ** 2) / wanted).sum()), 12), float(held[part].sum())
