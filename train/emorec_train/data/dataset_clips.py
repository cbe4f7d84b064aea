"""Data sets on disk as a source of clips: any number of them, one set of labels, one set of splits."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import UsageError
from emorec_rt.faces import FaceMode
from emorec_train.console import say
from emorec_train.data.datasets import ClipRecord, DataSet, EmptySplitError, check_disjoint, deal_fold
from emorec_train.data.datasets.clip_items import all_media, read_items
from emorec_train.data.datasets.facts import MediaFacts, media_facts
from emorec_train.data.datasets.names import in_order
from emorec_train.data.datasets.record import Problem, require_classes
from emorec_train.data.datasets.registry import open_data_set
from emorec_train.data.labels import IGNORED, ClipLabels, map_labels, no_measures
from emorec_train.data.source import LabelledClip
from emorec_train.data.synthetic import SPLITS, Split

DATA_KEY: Final = "data"
"""Key of a checkpoint's settings: the request that it was trained with."""

SHARED_SPEAKERS: Final = (
    "speakers may be in train and in test: the scores are about these speakers, and flatter for unknown ones"
)

SHOWN_PROBLEMS: Final = 20
"""Problems of one data set that get a line each."""


@dataclass(frozen=True)
class DataRequest:
    """Data sets that a command line names.

    Attributes:
        sets: ``NAME:PATH`` each.
        labels: Labels of the model; empty takes those of the data.
        speaker_pattern: Finds the speaker in the paths of ``folder``.
        shared_speakers: Whether a speaker may be in two splits.
        fold: Fold of a cross-validation that is tested, from 1; 0 takes the splits of the data.
        folds: Number of folds.
    """

    sets: tuple[str, ...]
    labels: tuple[str, ...] = ()
    speaker_pattern: str | None = None
    shared_speakers: bool = False
    fold: int = 0
    folds: int = 0

    def recorded(self) -> dict[str, Any]:
        """For a checkpoint's settings: the same request from whatever folder it is read."""
        named = (text.partition(":") for text in self.sets)
        sets = [f"{name}:{Path(path).expanduser().resolve()}" for name, _, path in named]
        return {**asdict(self), "sets": sets, "labels": list(self.labels)}


@dataclass(frozen=True)
class DatasetClips:
    """Clips of data sets on disk, a ``ClipSource``.

    Attributes:
        labels: The model's labels.
        records: Every clip by its identity, ``<data set>:<clip id>``.
        facts: Of each file that the records name.
    """

    labels: tuple[str, ...]
    records: Mapping[str, ClipRecord]
    facts: Mapping[Path, MediaFacts]

    def clip_ids(self, split: Split) -> list[str]:
        """Clips of a split; there may be none in ``test``."""
        return [clip_id for clip_id, record in self.records.items() if record.split == split]

    def open(self, clip_id: str) -> LabelledClip:
        """Open the clip's files when its items are read."""
        record = self.records[clip_id]
        warnings: list[str] = []
        faces: FaceMode = "auto" if record.frames is None else "off"
        return LabelledClip(read_items(record, warnings), self.truth(clip_id), faces, warnings)

    def truth(self, clip_id: str) -> ClipLabels:
        """The clip's one label, or its frames' labels."""
        record = self.records[clip_id]
        if record.label is not None:
            return ClipLabels.whole(self.labels.index(record.label))
        labels = record.frame_labels if record.frame_labels is not None else np.zeros(0, np.int64)
        labels = map_labels(labels, EXPRESSIONS, self.labels)
        return (
            ClipLabels(labels)
            if record.frame_measures is None
            else _of_one_length(labels, record.frame_measures)
        )

    def fingerprint(self, clip_id: str) -> str:
        """Of the bytes of its files and what they are used for."""
        record = self.records[clip_id]
        roles = {"video": record.video, "sound": record.sound}
        roles["frames"] = None if record.frames is None else record.frames.path
        parts = [f"{role} {self.facts[path].content}" for role, path in roles.items() if path is not None]
        timeless = record.frames is not None and record.video is None
        rate = f"{record.fps:g}" if timeless else ""
        rate += f" {record.frame_count}" if timeless and record.frame_count else ""
        return hashlib.sha256(" ".join([*parts, rate]).encode()).hexdigest()

    def require_classes(self, clip_ids: Sequence[str]) -> None:
        """Refuse training clips in which a label never occurs.

        Raises:
            DatasetError: With the names of the labels.
        """
        require_classes([self.records[clip_id] for clip_id in clip_ids], self.labels, "training data")


def _of_one_length(labels: NDArray[np.int64], measures: NDArray[np.float32]) -> ClipLabels:
    """Both for as many frames as the longer has."""
    count = max(len(labels), len(measures))
    labels = np.pad(labels, (0, count - len(labels)), constant_values=IGNORED)
    return ClipLabels(labels, measures=np.concatenate([measures, no_measures(count - len(measures))]))


def open_clips(
    request: DataRequest, *, tasks: Tasks = NO_TASKS, workers: int, memo: Path | None = None
) -> DatasetClips:
    """Scan the data sets, print their problems, and check that their splits share nothing.

    Args:
        request: Which data sets.
        tasks: Tasks beside the classes: clips that are labelled for them alone are taken, too.
        workers: Processes that read files.
        memo: See ``media_facts``.

    Raises:
        UsageError: A data set's name or a label is unknown.
        DatasetError: A data set can't be used, a split is empty, a label has no sample, or splits share a
            speaker or a recording.
    """
    sets = _named([open_data_set(text, request.speaker_pattern) for text in request.sets])
    labels = _labels(request.labels, list(sets.values()))
    every = [record for name, data_set in sets.items() for record in _records(name, data_set, labels, tasks)]
    if request.folds:
        every = deal_fold(every, request.fold, request.folds, source=", ".join(request.sets))
    records = {record.clip_id: record for record in every}
    by_split = {split: [record for record in every if record.split == split] for split in SPLITS}
    for split in ("train", "validation"):
        if not by_split[split]:
            raise EmptySplitError(", ".join(request.sets), f"no labelled clip in the {split} split")
    require_classes(by_split["train"], labels, ", ".join(request.sets))
    sounds = [record.sound for record in every if record.sound is not None]
    facts = media_facts(all_media(every), sounds, workers=workers, memo=memo)
    if request.shared_speakers:
        say(SHARED_SPEAKERS)
    known = {path: facts[path].sound for path in sounds}
    shared = check_disjoint(by_split, speakers=not request.shared_speakers, known=known)
    if shared:
        say(f"note: the challenge's own splits overlap in {len(shared)} places, and are kept; {shared[0]}")
    return DatasetClips(labels, records, facts)


def reopen_clips(
    request: DataRequest,
    labels: tuple[str, ...],
    *,
    tasks: Tasks = NO_TASKS,
    workers: int = 1,
    memo: Path | None = None,
) -> DatasetClips:
    """The clips of data sets that were checked when a model was trained on them.

    Args:
        request: Which data sets.
        labels: The model's.
        tasks: Likewise.
        workers: Processes that read files.
        memo: See ``media_facts``; without it no file is read, and clips have no fingerprint.

    Raises:
        UsageError: A data set's name is unknown.
        DatasetError: A data set can't be used.
    """
    sets = _named([open_data_set(text, request.speaker_pattern) for text in request.sets])
    every = [record for name, data_set in sets.items() for record in _records(name, data_set, labels, tasks)]
    facts = {} if memo is None else media_facts(all_media(every), (), workers=workers, memo=memo)
    return DatasetClips(labels, {record.clip_id: record for record in every}, facts)


def _named(sets: Sequence[tuple[str, DataSet]]) -> dict[str, DataSet]:
    """Data sets by name; the second of a kind is numbered."""
    named: dict[str, DataSet] = {}
    kinds: Counter[str] = Counter()
    for name, data_set in sets:
        kinds[name] += 1
        named[name if kinds[name] == 1 else f"{name}-{kinds[name]}"] = data_set
    return named


def _labels(asked: tuple[str, ...], sets: Sequence[DataSet]) -> tuple[str, ...]:
    if unknown := [label for label in asked if label not in EXPRESSIONS]:
        raise UsageError(f"--labels {', '.join(unknown)}: there are {', '.join(EXPRESSIONS)}")
    labels = asked or in_order(label for data_set in sets for label in data_set.labels)
    if len(set(labels)) < max(2, len(labels)):
        raise UsageError(f"labels {', '.join(labels) or '(none)'}: a model needs two or more, each once")
    return labels


def _records(name: str, data_set: DataSet, labels: tuple[str, ...], tasks: Tasks) -> Iterator[ClipRecord]:
    """The clips of one data set that have a label of the model, under names that no other set has."""
    report_problems(data_set.name, data_set.scan().problems)
    for split in SPLITS:
        try:
            records = data_set.records(split, [label for label in data_set.labels if label in labels])
        except EmptySplitError as error:
            if split == "train":
                say(str(error))
            continue
        for record in records:
            classes = any(count and label in labels for label, count in _counts(record))
            if classes or record.measures(tasks.measures):
                yield replace(
                    record,
                    clip_id=f"{name}:{record.clip_id}",
                    speaker=_speaker(record, data_set.speaker_scope),
                )


def _speaker(record: ClipRecord, scope: Path | None) -> str | None:
    """A name that no other data set gives to another person; splits have been made by the name itself."""
    return (
        record.speaker
        if record.speaker is None or scope is None
        else f"{record.speaker} of {scope.resolve()}"
    )


def _counts(record: ClipRecord) -> Iterator[tuple[str, int]]:
    return zip(EXPRESSIONS, record.class_counts().tolist(), strict=True)


def report_problems(name: str, problems: Sequence[Problem]) -> None:
    """Print the problems of a data set, the first ones in a line each."""
    for problem in problems[:SHOWN_PROBLEMS]:
        say(str(problem))
    if len(problems) > SHOWN_PROBLEMS:
        say(f"{name}: {len(problems) - SHOWN_PROBLEMS} more problems of {len(problems)}")
