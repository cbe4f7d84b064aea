"""Records of a data set: clips, frame folders, and what is wrong with a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.tasks import MEASURES
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import EmorecError
from emorec_train.data.labels import IGNORED
from emorec_train.data.synthetic import Split


class DatasetError(EmorecError, ValueError):
    """A data set that can't be used as it is: wrong folder, empty split, a class without a sample."""

    def __init__(self, source: str | Path, reason: str) -> None:
        self.source = str(source)
        self.reason = reason
        super().__init__(f"{source}: {reason}")


class EmptySplitError(DatasetError):
    """No clip in a split."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a data set that isn't as it should be; ``str`` is one line that names the file."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return " ".join(f"{self.path}: {self.reason}".split())


@dataclass(frozen=True, slots=True, eq=False)
class FrameFolder:
    """Face crops of one person, ``%05d.jpg``; a frame without a face has no picture.

    Attributes:
        path: The folder.
        numbers: int64 ``[K]``, ascending, counted from 1: the frames that have a picture.
    """

    path: Path
    numbers: NDArray[np.int64]

    def file(self, number: int) -> Path:
        """Picture of a frame, counted from 1."""
        return self.path / f"{number:05d}.jpg"

    def found(self, frames: int) -> NDArray[np.bool_]:
        """True for each of the first ``frames`` frames that has a picture, bool ``[frames]``."""
        mask = np.zeros(frames, np.bool_)
        mask[self.numbers[self.numbers <= frames] - 1] = True
        return mask


@dataclass(frozen=True, slots=True, eq=False)
class ClipRecord:
    """One person in one recording: where the media lie and what is known about them.

    A clip has a label as a whole, a label for each frame, or none (a challenge's test set).

    Attributes:
        clip_id: Unique in its data set.
        split: As the data set has it; ``None`` where it has no split of its own.
        speaker: Who is seen and heard: what must not be in two splits. Unique over data sets, unless these
            have a ``speaker_scope``. ``None`` if unknown.
        label: One of ``EXPRESSIONS``, for the whole clip.
        frame_labels: int64 ``[F]``, index into ``EXPRESSIONS``, ``IGNORED`` where a frame has no valid label.
        frame_measures: float32 ``[F, M]``, valence, arousal and action units of each frame in the order of
            ``MEASURES``, NaN where one is missing; ``None`` where all are.
        video: Video with the whole scene; gives the frames' times.
        frames: Face crops; where there are any, they are the person's picture.
        sound: File whose sound belongs to the clip: the video itself where it has sound, so that both streams
            share a clock.
        person: ``left`` or ``right`` where the data set tells two persons in a video apart; else empty.
        fps: Frames a second of ``frames``, where no video gives their times.
        frame_count: Rows that a submission about the clip must have; ``None`` where nobody says.
        official_split: True where a challenge fixes ``split``, which may then share speakers with another.
    """

    clip_id: str
    split: Split | None = None
    speaker: str | None = None
    label: str | None = None
    frame_labels: NDArray[np.int64] | None = None
    frame_measures: NDArray[np.float32] | None = None
    video: Path | None = None
    frames: FrameFolder | None = None
    sound: Path | None = None
    person: str = ""
    fps: float = 30.0
    frame_count: int | None = None
    official_split: bool = False

    def __post_init__(self) -> None:
        if self.label is not None and self.label not in EXPRESSIONS:
            raise ValueError(f"{self.clip_id}: {self.label!r} is not one of {', '.join(EXPRESSIONS)}")
        if self.label is not None and self.frame_labels is not None:
            raise ValueError(f"{self.clip_id}: has a label as a whole and labels for its frames")
        if self.video is None and self.frames is None and self.sound is None:
            raise ValueError(f"{self.clip_id}: has neither a picture nor sound")

    @property
    def group(self) -> str:
        """Group that stays in one split: the speaker, or the clip where the speaker is unknown."""
        return self.speaker if self.speaker is not None else f"clip {self.clip_id}"

    def class_counts(self) -> NDArray[np.int64]:
        """Labels of each expression: 1 for a labelled clip, frames for a clip with labelled frames."""
        if self.label is not None:
            labels = np.array([EXPRESSIONS.index(self.label)])
        elif self.frame_labels is not None:
            labels = self.frame_labels[self.frame_labels != IGNORED]
        else:
            labels = np.zeros(0, np.int64)
        return np.bincount(labels, minlength=len(EXPRESSIONS))

    def measures(self, names: Sequence[str]) -> bool:
        """Whether any frame has a value of one of these measures."""
        if self.frame_measures is None:
            return False
        columns = [MEASURES.index(name) for name in names]
        return not bool(np.isnan(self.frame_measures[:, columns]).all())


class Scan(NamedTuple):
    """Usable clips on disk, sorted by ``clip_id``, and problems."""

    records: tuple[ClipRecord, ...]
    problems: tuple[Problem, ...]


def require_classes(records: Sequence[ClipRecord], labels: Sequence[str], source: str | Path) -> None:
    """Refuse records in which a class never occurs: a model can't learn what it isn't shown.

    Raises:
        DatasetError: With the names of the classes.
    """
    counts = sum((record.class_counts() for record in records), np.zeros(len(EXPRESSIONS), np.int64))
    absent = [name for name in labels if not counts[EXPRESSIONS.index(name)]]
    if absent:
        raise DatasetError(source, f"no sample of {', '.join(absent)} among the {len(records)} train clips")
