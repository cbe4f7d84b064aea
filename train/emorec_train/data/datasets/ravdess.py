"""RAVDESS: acted speech and song of 24 actors (Livingstone and Russo 2018, Zenodo 1188976).

Names are ``MM-VC-EM-IN-ST-RE-AC``: modality (01 audio-visual, 02 video, 03 audio), vocal channel (01 speech,
02 song), emotion, intensity, statement, repetition, actor. The folders around them differ between downloads
and play no part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Final

from emorec_train.data.datasets.files import is_media, keep_first, walk_files
from emorec_train.data.datasets.names import expression_of, in_order
from emorec_train.data.datasets.protocol import ScannedDataSet
from emorec_train.data.datasets.record import ClipRecord, Problem, Scan

EMOTIONS: Final = MappingProxyType(
    {
        "01": "neutral",
        "02": "calm",
        "03": "happy",
        "04": "sad",
        "05": "angry",
        "06": "fearful",
        "07": "disgust",
        "08": "surprised",
    }
)
AUDIO_VISUAL, VIDEO_ONLY, AUDIO_ONLY = "01", "02", "03"

_NAME: Final = re.compile(
    r"(?P<modality>0[123])-(?P<utterance>(?P<vocal>0[12])-(?P<emotion>0[1-8])-0[12]-0[12]-0[12]"
    r"-(?P<actor>0[1-9]|1\d|2[0-4]))"
)


@dataclass(frozen=True, slots=True)
class RavdessName:
    """Parts of a name.

    Attributes:
        modality: ``AUDIO_VISUAL``, ``VIDEO_ONLY`` or ``AUDIO_ONLY``.
        utterance: The name without the modality: the same in all files of one utterance.
        emotion: As RAVDESS names it.
        actor: ``01`` to ``24``; odd ones are men.
        song: Sung rather than spoken.
    """

    modality: str
    utterance: str
    emotion: str
    actor: str
    song: bool


def parse_name(stem: str) -> RavdessName | None:
    """Read a file name without suffix; ``None`` if it isn't RAVDESS's."""
    match = _NAME.fullmatch(stem)
    if match is None:
        return None
    return RavdessName(
        match["modality"],
        match["utterance"],
        EMOTIONS[match["emotion"]],
        match["actor"],
        match["vocal"] == "02",
    )


def utterance_of(stem: str) -> str | None:
    """Key that the files of one utterance share; ``None`` if the name isn't RAVDESS's."""
    name = parse_name(stem)
    return None if name is None else name.utterance


@dataclass(frozen=True)
class Ravdess(ScannedDataSet):
    """RAVDESS on disk. It has no split of its own: actors are dealt into splits.

    Attributes:
        root: Folder with the files, at any depth.
        calm: What RAVDESS's "calm" becomes, one of ``EXPRESSIONS``; ``None`` leaves those clips out.
        song: Take sung clips too.
        split_seed: Of the split by actor.
    """

    name: ClassVar[str] = "RAVDESS"
    root: Path
    calm: str | None = None
    song: bool = True
    split_seed: int = 0

    @property
    def labels(self) -> tuple[str, ...]:
        """All expressions but Other."""
        return in_order(label for label in map(self._expression, EMOTIONS.values()) if label)

    def _expression(self, emotion: str) -> str | None:
        return expression_of(emotion, {"calm": self.calm})

    def _scan(self) -> Scan:
        problems: list[Problem] = []
        utterances: dict[str, dict[str, Path]] = {}
        for path, name in self._files(problems):
            keep_first(utterances.setdefault(name.utterance, {}), name.modality, path, problems)
        records = [self._record(utterance, files) for utterance, files in utterances.items()]
        return Scan(tuple(records), tuple(problems))

    def _files(self, problems: list[Problem]) -> Iterator[tuple[Path, RavdessName]]:
        for path in filter(is_media, walk_files(self.root, problems)):
            name = parse_name(path.stem)
            if name is None:
                problems.append(Problem(path, "is not named MM-VC-EM-IN-ST-RE-AC; left out"))
            elif self._expression(name.emotion) is not None and (self.song or not name.song):
                yield path, name

    def _record(self, utterance: str, files: dict[str, Path]) -> ClipRecord:
        name = parse_name(f"{AUDIO_VISUAL}-{utterance}")
        assert name is not None  # noqa: S101 - the utterance was cut from such a name
        return ClipRecord(
            clip_id=utterance,
            speaker=f"ravdess-{name.actor}",
            label=self._expression(name.emotion),
            video=files.get(AUDIO_VISUAL) or files.get(VIDEO_ONLY),
            sound=files.get(AUDIO_VISUAL) or files.get(AUDIO_ONLY),
        )
