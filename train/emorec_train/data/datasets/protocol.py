"""The one protocol behind which every data set on disk stands, and what it yields.

A data set is scanned once, in sorted order, so that neither the file system nor the machine decides what is
in a split. What can't be used becomes a ``Problem``; the rest of the set stays usable.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Protocol

from emorec_train.data.datasets.record import ClipRecord, EmptySplitError, Scan, require_classes
from emorec_train.data.datasets.splits import assign_splits
from emorec_train.data.synthetic import SPLITS, Split


class DataSet(Protocol):
    """A data set on disk. It is sent to worker processes, so it has to pickle."""

    @property
    def name(self) -> str:
        """Short name, for messages."""
        ...

    @property
    def labels(self) -> tuple[str, ...]:
        """Expressions that it has, in the order of ``EXPRESSIONS``."""
        ...

    @property
    def speaker_scope(self) -> Path | None:
        """Folder within which a speaker's name stands for one person; ``None`` for everywhere."""
        ...

    def scan(self) -> Scan:
        """Clips on disk, with the splits that are on disk."""
        ...

    def records(self, split: Split, required: Sequence[str] | None = None) -> list[ClipRecord]:
        """Clips of a split, sorted by ``clip_id``; no speaker is in two splits that were made here.

        Args:
            split: Which one.
            required: What must occur in ``train``; ``None`` takes ``labels``.

        Raises:
            EmptySplitError: The split is empty.
            DatasetError: It is ``train`` and lacks a required expression, or no split can be made.
        """
        ...


class ScannedDataSet(ABC):
    """Base of data sets on disk: each is scanned once, and split by speaker where it has no splits."""

    name: ClassVar[str]
    root: Path
    split_seed: int

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Expressions that it has."""

    @property
    def speaker_scope(self) -> Path | None:
        """Everywhere: the names of published data sets have the set's name in front."""
        return None

    @abstractmethod
    def _scan(self) -> Scan:
        """Look at the disk."""

    def scan(self) -> Scan:
        """Clips and problems on disk; scanned once."""
        return self._scanned

    def records(self, split: Split, required: Sequence[str] | None = None) -> list[ClipRecord]:
        """Clips of a split, see ``DataSet.records``."""
        chosen = [record for record in self._divided if record.split == split]
        if not chosen:
            raise EmptySplitError(self.root, f"no {self.name} clip in the {split} split; {self._tally()}")
        if split == "train":
            require_classes(chosen, self.labels if required is None else required, self.root)
        return chosen

    @cached_property
    def _scanned(self) -> Scan:
        records, problems = self._scan()
        return Scan(tuple(sorted(records, key=lambda record: record.clip_id)), tuple(problems))

    @cached_property
    def _divided(self) -> tuple[ClipRecord, ...]:
        records = self._scanned.records
        if records and all(record.split is None for record in records):
            return tuple(assign_splits(records, seed=self.split_seed, source=self.root))
        return records

    def _tally(self) -> str:
        counts = Counter(record.split for record in self._divided)
        found = ", ".join(f"{split} {counts[split]}" for split in SPLITS)
        problems = self._scanned.problems
        first = f"; {len(problems)} problems, the first: {problems[0]}" if problems else ""
        return f"found {found}{first}"
