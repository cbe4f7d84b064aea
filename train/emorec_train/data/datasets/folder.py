"""Any media in folders named after their class, with or without folders of splits above them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from emorec_train.data.datasets.files import folders_in, is_media, is_video, keep_first, walk_files
from emorec_train.data.datasets.names import Aliases, UnknownExpressionError, expression_of, in_order
from emorec_train.data.datasets.protocol import ScannedDataSet
from emorec_train.data.datasets.record import ClipRecord, DatasetError, Problem, Scan
from emorec_train.data.synthetic import Split

SPLIT_FOLDERS: Final[dict[str, Split]] = {
    "train": "train",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
}


@dataclass(frozen=True)
class ClassFolders(ScannedDataSet):
    """``<root>/<class>/**`` or ``<root>/<split>/<class>/**``; a video and a sound of one name are one clip.

    Attributes:
        root: The folder.
        aliases: Folder names that ``names.ALIASES`` lacks.
        speaker_pattern: Finds the speaker in a clip's path below its class, without suffix: the group
            ``speaker``, or the whole match. Without it every clip counts as a speaker of its own.
        split_seed: Of the split by speaker, where there are no folders of splits.
    """

    name: ClassVar[str] = "class folder"
    root: Path
    aliases: Aliases = field(default_factory=dict)
    speaker_pattern: str | None = None
    split_seed: int = 0

    def __post_init__(self) -> None:
        if self.speaker_pattern is not None:
            try:
                re.compile(self.speaker_pattern)
            except re.error as error:
                raise DatasetError(self.root, f"speaker pattern {self.speaker_pattern!r}: {error}") from error

    @property
    def labels(self) -> tuple[str, ...]:
        """Expressions that have a folder."""
        folders = [folder for base, _ in self._bases([]) for folder in folders_in(base, [])]
        return in_order(label for folder in folders if (label := self._label(folder)))

    @property
    def speaker_scope(self) -> Path:
        """Another folder's ``anna`` is another person."""
        return self.root

    def _bases(self, problems: list[Problem]) -> list[tuple[Path, Split | None]]:
        """Folders that hold class folders, and their splits."""
        if not self.root.is_dir():
            raise DatasetError(self.root, "there is no such folder")
        folders = {folder: folder.name.lower() for folder in folders_in(self.root, problems)}
        splits = [(folder, SPLIT_FOLDERS[name]) for folder, name in folders.items() if name in SPLIT_FOLDERS]
        return [*splits] or [(self.root, None)]

    def _label(self, folder: Path) -> str | None:
        try:
            return expression_of(folder.name, self.aliases)
        except UnknownExpressionError:
            return None

    def _scan(self) -> Scan:
        problems: list[Problem] = []
        records = [
            record
            for base, split in self._bases(problems)
            for folder in folders_in(base, problems)
            for record in self._class(folder, split, problems)
        ]
        return Scan(tuple(records), tuple(dict.fromkeys(problems)))

    def _class(self, folder: Path, split: Split | None, problems: list[Problem]) -> Iterator[ClipRecord]:
        try:
            label = expression_of(folder.name, self.aliases)
        except UnknownExpressionError as error:
            problems.append(Problem(folder, f"{error}; left out"))
            return
        if label is None:
            return
        clips: dict[str, dict[bool, Path]] = {}
        for path in filter(is_media, walk_files(folder, problems)):
            stem = path.relative_to(folder).with_suffix("").as_posix()
            keep_first(clips.setdefault(stem, {}), is_video(path), path, problems)
        for stem, files in clips.items():
            record = self._record(folder, stem, files, label, split)
            if self.speaker_pattern is not None and record.speaker is None:
                problems.append(
                    Problem(
                        folder / stem,
                        "the speaker pattern finds nobody here; it counts as a speaker of its own",
                    )
                )
            yield record

    def _record(
        self, folder: Path, stem: str, files: dict[bool, Path], label: str, split: Split | None
    ) -> ClipRecord:
        video = files.get(True)
        return ClipRecord(
            clip_id=f"{folder.relative_to(self.root).as_posix()}/{stem}",
            split=split,
            speaker=self._speaker(stem),
            label=label,
            video=video,
            sound=video or files.get(False),
        )

    def _speaker(self, stem: str) -> str | None:
        match = re.search(self.speaker_pattern, stem) if self.speaker_pattern else None
        if match is None:
            return None
        # Nothing, found in every path, would make one person of them all.
        return (match["speaker"] if "speaker" in match.re.groupindex else match[0]) or None
