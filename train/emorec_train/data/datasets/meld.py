"""MELD: utterances from the series Friends (Poria et al. 2019), ``dia<X>_utt<Y>.mp4`` beside three csv files.

Its splits are its own and share speakers: scores on MELD are not scores on unknown speakers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from emorec_train.data.datasets.files import csv_rows, is_video, keep_first, walk_files
from emorec_train.data.datasets.names import UnknownExpressionError, expression_of, in_order
from emorec_train.data.datasets.protocol import ScannedDataSet
from emorec_train.data.datasets.record import ClipRecord, DatasetError, Problem, Scan
from emorec_train.data.synthetic import Split

SPLIT_NAMES: Final[Mapping[str, Split]] = MappingProxyType(
    {"train": "train", "dev": "validation", "test": "test"}
)
"""MELD's name of a split, as its csv files and folders begin or contain it."""

EMOTIONS: Final = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
COLUMNS: Final = ("Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")

_SPLIT_IN_FOLDER: Final = re.compile(r"(?:^|_)(train|dev|test)(?:_|$)")
_CLIP: Final = re.compile(r"dia\d+_utt\d+")


@dataclass(frozen=True)
class Meld(ScannedDataSet):
    """MELD on disk.

    Attributes:
        root: Folder with ``train_sent_emo.csv``, ``dev_sent_emo.csv``, ``test_sent_emo.csv`` and the videos,
            at any depth. The splits use the same names again, so a video's folder must name its split, as
            MELD's own do (``train_splits``, ``dev_splits_complete``, ``output_repeated_splits_test``).
        split_seed: Unused; MELD has its own splits.
    """

    name: ClassVar[str] = "MELD"
    root: Path
    split_seed: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """All expressions but Other."""
        return in_order(expression_of(emotion) or "" for emotion in EMOTIONS)

    def _scan(self) -> Scan:
        problems: list[Problem] = []
        tables: dict[str, Path] = {}
        videos: dict[tuple[str, str], Path] = {}
        for path in walk_files(self.root, problems):
            split = path.name.removesuffix("_sent_emo.csv")
            if split in SPLIT_NAMES:
                tables.setdefault(split, path)
            elif is_video(path) and (folder := _split_of(path.relative_to(self.root))):
                _index_video(videos, folder, path, problems)
        if not tables:
            raise DatasetError(
                self.root, "no train_sent_emo.csv, dev_sent_emo.csv or test_sent_emo.csv in it"
            )
        records = [
            record
            for split, table in tables.items()
            for record in _read_table(table, split, videos, problems)
        ]
        return Scan(tuple(records), tuple(problems))


def _split_of(path: Path) -> str | None:
    """Split that the nearest telling folder names."""
    for folder in reversed(path.parts[:-1]):
        if match := _SPLIT_IN_FOLDER.search(folder.lower()):
            return match[1]
    return None


def _index_video(
    videos: dict[tuple[str, str], Path], split: str, path: Path, problems: list[Problem]
) -> None:
    if not _CLIP.fullmatch(path.stem):
        problems.append(Problem(path, "is not named diaX_uttY; left out"))
        return
    keep_first(videos, (split, path.stem), path, problems)


def _read_table(
    table: Path, split: str, videos: Mapping[tuple[str, str], Path], problems: list[Problem]
) -> Iterator[ClipRecord]:
    seen: set[str] = set()
    try:
        for line, row in csv_rows(table, COLUMNS):
            record = _record(row, split, videos)
            if isinstance(record, ClipRecord) and record.clip_id in seen:
                record = f"{record.clip_id} is here twice"
            if isinstance(record, str):
                problems.append(Problem(table, f"line {line}: {record}; left out"))
                continue
            seen.add(record.clip_id)
            yield record
    except DatasetError as error:
        problems.append(Problem(table, f"{error.reason}; left out from there"))


def _record(row: Mapping[str, str], split: str, videos: Mapping[tuple[str, str], Path]) -> ClipRecord | str:
    """A row's clip, or what is wrong with the row."""
    stem = f"dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
    video = videos.get((split, stem))
    if video is None:
        return f"there is no video {stem} in a {split} folder"
    try:
        label = expression_of(row["Emotion"])
    except UnknownExpressionError as error:
        return str(error)
    speaker = row["Speaker"]
    return ClipRecord(
        clip_id=f"{split}-{stem}",
        split=SPLIT_NAMES[split],
        speaker=f"meld-{speaker}" if speaker else None,
        label=label,
        video=video,
        sound=video,
    )
