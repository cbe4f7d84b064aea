"""Any media, listed in a csv file: the way in for data that has no convention of its own.

    path,label,split,speaker
    clips/a.mp4,happy,train,anna
    clips/b.mp4,neutral,validation,ben

Columns ``path`` and ``label`` are needed; ``split``, ``speaker``, ``sound`` (a file of its own) and ``id``
are known too, others are ignored. Paths are relative to the csv file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from emorec_train.data.datasets.files import csv_rows, is_sound
from emorec_train.data.datasets.folder import SPLIT_FOLDERS
from emorec_train.data.datasets.names import Aliases, UnknownExpressionError, expression_of, in_order
from emorec_train.data.datasets.protocol import ScannedDataSet
from emorec_train.data.datasets.record import ClipRecord, Problem, Scan
from emorec_train.data.synthetic import Split

COLUMNS: Final = ("path", "label")


class _RowError(ValueError):
    """Fault of a row."""


@dataclass(frozen=True)
class ManifestCsv(ScannedDataSet):
    """The clips of a csv file.

    Attributes:
        root: The csv file.
        aliases: Label names that ``names.ALIASES`` lacks.
        split_seed: Of the split by speaker, where no row has a split.
    """

    name: ClassVar[str] = "manifest"
    root: Path
    aliases: Aliases = field(default_factory=dict)
    split_seed: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """Expressions that occur."""
        return in_order(record.label for record in self.scan().records if record.label)

    def _scan(self) -> Scan:
        problems: list[Problem] = []
        records: dict[str, ClipRecord] = {}
        for line, row in csv_rows(self.root, COLUMNS):
            record = self._record_or_reason(row)
            if isinstance(record, ClipRecord) and record.clip_id in records:
                record = f"{record.clip_id} is here twice"
            if isinstance(record, str):
                problems.append(Problem(self.root, f"line {line}: {record}; left out"))
            elif record is not None:
                records[record.clip_id] = record
        return Scan(tuple(self._all_or_none(tuple(records.values()), problems)), tuple(problems))

    @property
    def speaker_scope(self) -> Path:
        """Lists that lie side by side, such as ``train.csv`` and ``test.csv``, are about the same people."""
        return self.root.parent

    def _record_or_reason(self, row: Mapping[str, str]) -> ClipRecord | str | None:
        """A row's clip, what is wrong with it, or ``None`` where its label is one to leave out."""
        try:
            return self._record(row)
        except (_RowError, UnknownExpressionError) as error:
            return str(error)

    def _all_or_none(self, records: tuple[ClipRecord, ...], problems: list[Problem]) -> Iterator[ClipRecord]:
        """A row without a split among rows with one would be in none: say so."""
        some = any(record.split is not None for record in records)
        for record in records:
            if some and record.split is None:
                problems.append(Problem(self.root, f"{record.clip_id} has no split, others have; left out"))
            else:
                yield record

    def _record(self, row: Mapping[str, str]) -> ClipRecord | None:
        label = expression_of(row["label"], self.aliases)
        if label is None:
            return None
        path = self._file(row["path"])
        sound = self._file(row["sound"]) if row.get("sound") else path
        return ClipRecord(
            clip_id=row.get("id") or Path(row["path"]).as_posix(),
            split=_split(row.get("split", "")),
            speaker=row.get("speaker") or None,
            label=label,
            video=None if is_sound(path) else path,
            sound=sound,
        )

    def _file(self, name: str) -> Path:
        path = self.root.parent / name
        if not name or not path.is_file():
            raise _RowError(f"there is no file {name or '(the path is empty)'}")
        return path


def _split(name: str) -> Split | None:
    if name and name.lower() not in SPLIT_FOLDERS:
        raise _RowError(f"{name!r} is not a split; there are {', '.join(SPLIT_FOLDERS)}")
    return SPLIT_FOLDERS.get(name.lower())
