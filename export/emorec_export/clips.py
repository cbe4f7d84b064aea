"""The clips that a checkpoint was trained on and kept from: drawn again from their seeds, or read again."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from emorec_calib.collect import CalibrationClip
from emorec_export.chain import beginning
from emorec_rt.errors import UsageError
from emorec_train.data.dataset_clips import DATA_KEY, DataRequest, reopen_clips
from emorec_train.data.source import ClipSource, GeneratedClips, LabelledClip
from emorec_train.data.synthetic import ClipSpec, Split
from emorec_train.data.unlabelled import UNLABELLED_KEY, UnlabelledClips
from emorec_train.model.checkpoint import Checkpoint
from emorec_train.training.people.run import PEOPLE_KEY, recorded_people

CALIBRATION_SECONDS: Final = 10.0
"""Of each calibration clip: many people for a short while tell more than few for long."""

_DATA: Final = "--data NAME:PATH says where they lie now, as for train/run.py"


@dataclass(frozen=True, slots=True)
class RecordedClips:
    """The clips that a checkpoint names.

    Attributes:
        checkpoint: Names them.
        source: Opens them.
    """

    checkpoint: Checkpoint
    source: ClipSource

    @property
    def generated(self) -> bool:
        """Say whether they are drawn, not recorded."""
        return isinstance(self.source, GeneratedClips)

    def ids(self, split: Split, count: int, seed: int = 0, leave_out: Collection[str] = ()) -> list[str]:
        """``count`` clips of a split at random, always the same; all if there are fewer.

        Data sets without a test split give their validation clips in its place. Those of ``leave_out`` are
        never chosen, so that none may be left.

        Raises:
            UsageError: The checkpoint names no clip of the split, or clips that are nowhere.
        """
        named = self.checkpoint.training.clips
        chosen = named.get(split) or (named.get("validation") if split == "test" else None) or []
        if not chosen:
            raise UsageError(f"{self.checkpoint.folder}: records no {split} clips; train it again")
        chosen = [clip_id for clip_id in chosen if clip_id not in leave_out]
        if len(chosen) > count:
            kept = set(random.Random(f"{seed} {split}").sample(range(len(chosen)), count))  # noqa: S311 - a sample
            chosen = [clip_id for index, clip_id in enumerate(chosen) if index in kept]
        return chosen

    def labelled(self, ids: Iterable[str]) -> Iterator[LabelledClip]:
        """Open clips one at a time, with their labels."""
        return map(self.source.open, ids)

    def calibration(self, ids: Iterable[str]) -> Iterator[CalibrationClip]:
        """Open the beginnings of clips one at a time, as calibration takes them."""
        for clip_id in ids:
            clip = self.source.open(clip_id)
            yield CalibrationClip(clip_id, beginning(clip.items, CALIBRATION_SECONDS), faces=clip.faces)


def recorded_clips(checkpoint: Checkpoint, data: DataRequest | None = None) -> RecordedClips:
    """Find the clips of a checkpoint again.

    Args:
        checkpoint: The checkpoint.
        data: Where its data sets lie; ``None`` looks where they lay when it was trained.

    Raises:
        UsageError: The clips aren't there, or nobody knows where they are.
        DatasetError: A data set can't be read.
    """
    training, labels = checkpoint.training, checkpoint.config.labels
    named = [clip_id for ids in training.clips.values() for clip_id in ids]
    if PEOPLE_KEY in training.settings:
        return RecordedClips(checkpoint, recorded_people(checkpoint))
    if data is None and UNLABELLED_KEY in training.settings:
        return RecordedClips(checkpoint, UnlabelledClips(Path(training.settings[UNLABELLED_KEY])))
    if data is None and all(clip_id.isdecimal() for clip_id in named):
        seconds = training.settings.get("clip_seconds")
        spec = ClipSpec() if seconds is None else ClipSpec(seconds=float(seconds))
        return RecordedClips(checkpoint, GeneratedClips(labels, {}, spec))
    request = data or _recorded_request(checkpoint)
    source = reopen_clips(request, labels, tasks=checkpoint.config.tasks)
    if absent := [clip_id for clip_id in named if clip_id not in source.records]:
        raise UsageError(
            f"{checkpoint.folder}: {len(absent)} of its {len(named)} clips are not in "
            f"{', '.join(request.sets)}, such as {absent[0]}; {_DATA}"
        )
    return RecordedClips(checkpoint, source)


def _recorded_request(checkpoint: Checkpoint) -> DataRequest:
    recorded = checkpoint.training.settings.get(DATA_KEY)
    if recorded is None:
        raise UsageError(
            f"{checkpoint.folder}: was trained on recordings and doesn't say where they are; {_DATA}"
        )
    try:
        return msgspec.convert(recorded, DataRequest)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{checkpoint.folder}: its record of data can't be read ({error}); {_DATA}"
        ) from error
