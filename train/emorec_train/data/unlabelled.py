"""Clips without labels: every video and sound file below a folder."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from emorec_train.data.datasets.clip_items import read_items
from emorec_train.data.datasets.facts import content_of
from emorec_train.data.datasets.files import is_media, is_video, walk_files
from emorec_train.data.datasets.record import ClipRecord, DatasetError
from emorec_train.data.labels import IGNORED, ClipLabels
from emorec_train.data.source import LabelledClip
from emorec_train.data.synthetic import Split

HELD_OUT: Final = 0.1
"""Share of the clips, by their names, that nothing is learnt from."""


UNLABELLED_KEY: Final = "unlabelled"
"""Key of a checkpoint's settings: the folder of the clips that it has learnt from."""


@dataclass(frozen=True)
class UnlabelledClips:
    """A ``ClipSource`` without a label; a tenth of it, and one clip at least, is the validation split.

    Attributes:
        folder: Holds the files.
    """

    folder: Path

    @cached_property
    def _by_split(self) -> dict[Split, list[str]]:
        names = [str(path.relative_to(self.folder)) for path in walk_files(self.folder, []) if is_media(path)]
        if len(names) < 2:
            raise DatasetError(
                self.folder, "has fewer than two videos or recordings: one to learn from, one to score"
            )
        drawn = sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())
        held_out = max(1, round(HELD_OUT * len(names)))
        return {"train": sorted(drawn[held_out:]), "validation": sorted(drawn[:held_out]), "test": []}

    def clip_ids(self, split: Split) -> list[str]:
        """Paths below the folder.

        Raises:
            DatasetError: There is no folder, or too little in it.
        """
        return self._by_split[split]

    def open(self, clip_id: str) -> LabelledClip:
        """Open the file when its items are read."""
        path, warnings = self.folder / clip_id, list[str]()
        record = ClipRecord(clip_id, video=path if is_video(path) else None, sound=path)
        return LabelledClip(read_items(record, warnings), self.truth(clip_id), "auto", warnings)

    def truth(self, clip_id: str) -> ClipLabels:  # noqa: ARG002 - the same for all
        """No label anywhere."""
        return ClipLabels.whole(IGNORED)

    def fingerprint(self, clip_id: str) -> str:
        """Of its bytes."""
        return content_of(self.folder / clip_id)
