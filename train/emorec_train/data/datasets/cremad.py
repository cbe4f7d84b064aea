"""CREMA-D: acted sentences of 91 actors (Cao et al. 2014), ``VideoFlash/*.flv`` and ``AudioWAV/*.wav``.

Names are ``<actor 1001-1091>_<sentence>_<emotion>_<level>``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from emorec_train.data.datasets.files import is_media, is_video, walk_files
from emorec_train.data.datasets.names import expression_of, in_order
from emorec_train.data.datasets.protocol import ScannedDataSet
from emorec_train.data.datasets.record import ClipRecord, Problem, Scan

EMOTIONS: Final = ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")

BROKEN: Final = frozenset({"1076_MTI_NEU_XX", "1076_MTI_SAD_XX", "1064_TIE_SAD_XX"})
"""Clips that the data set's own notes call damaged or without sound."""

_NAME: Final = re.compile(
    rf"(?P<actor>10(?:0[1-9]|[1-8]\d|9[01]))_[A-Z]{{3}}_(?P<emotion>{'|'.join(EMOTIONS)})_(?:LO|MD|HI|XX|X)"
)


@dataclass(frozen=True, slots=True)
class CremadName:
    """Parts of a name: actor, ``1001`` to ``1091``, and emotion, one of ``EMOTIONS``."""

    actor: str
    emotion: str


def parse_name(stem: str) -> CremadName | None:
    """Read a file name without suffix; ``None`` if it isn't CREMA-D's."""
    match = _NAME.fullmatch(stem)
    return None if match is None else CremadName(match["actor"], match["emotion"])


@dataclass(frozen=True)
class CremaD(ScannedDataSet):
    """CREMA-D on disk. It has no split of its own: actors are dealt into splits.

    Attributes:
        root: Folder with the files, at any depth; a video and a sound file of one name are one clip.
        split_seed: Of the split by actor.
    """

    name: ClassVar[str] = "CREMA-D"
    root: Path
    split_seed: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """Six expressions: no Surprise, no Other."""
        return in_order(expression_of(emotion) or "" for emotion in EMOTIONS)

    def _scan(self) -> Scan:
        problems: list[Problem] = []
        clips: dict[str, dict[bool, Path]] = {}
        # AudioMP3 holds what AudioWAV holds, with less in it: sound files come with .wav first.
        for path in sorted(self._files(problems), key=lambda path: path.suffix.lower() != ".wav"):
            first = clips.setdefault(path.stem, {}).setdefault(is_video(path), path)
            if first is not path and first.name == path.name:
                problems.append(Problem(path, f"is here twice; {first} is used"))
        return Scan(tuple(_record(stem, files) for stem, files in clips.items()), tuple(problems))

    def _files(self, problems: list[Problem]) -> Iterator[Path]:
        for path in filter(is_media, walk_files(self.root, problems)):
            if path.stem in BROKEN:
                problems.append(Problem(path, "is known to be broken; left out"))
            elif parse_name(path.stem) is None:
                problems.append(Problem(path, "is not named ACTOR_SENTENCE_EMOTION_LEVEL; left out"))
            else:
                yield path


def _record(stem: str, files: dict[bool, Path]) -> ClipRecord:
    name = parse_name(stem)
    assert name is not None  # noqa: S101 - the scan let no other name through
    video = files.get(True)
    return ClipRecord(
        clip_id=stem,
        speaker=f"crema-d-{name.actor}",
        label=expression_of(name.emotion),
        video=video,
        sound=video or files.get(False),
    )
