"""The clips that a checkpoint can be scored on: those that it names, or those of other data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import UsageError
from emorec_train.console import say
from emorec_train.data.dataset_clips import DATA_KEY, DataRequest, DatasetClips, reopen_clips
from emorec_train.data.labels import IGNORED
from emorec_train.data.source import ClipSource, GeneratedClips
from emorec_train.data.synthetic import SPLITS, ClipSpec, Split
from emorec_train.evaluation.stitched import LABEL_STEPS_KEY
from emorec_train.features.cache.store import MEDIA_FILE
from emorec_train.features.extract import cached_windows, extract, fill_cache, open_cache
from emorec_train.features.windows import ClipWindows
from emorec_train.model.build import Models, find_device, place_encoders
from emorec_train.model.checkpoint import Checkpoint


@dataclass(frozen=True, slots=True)
class ScoredClips:
    """Clips and their features, a split at a time.

    Attributes:
        checkpoint: Its encoders make the features.
        source: Opens the clips.
        splits: The clips of each split: as recorded when the model was trained; of unknown clips, as
            in the source.
        workers: Processes that decode and crop.
        cache: Folder of features; ``None`` makes them anew.
        device: Where the encoders run, ``cpu`` or ``cuda``.
    """

    checkpoint: Checkpoint
    source: ClipSource
    splits: Mapping[str, Sequence[str]]
    workers: int
    cache: Path | None = None
    device: str = "cpu"

    def ids(self, split: Split) -> list[str]:
        """The clips of a split.

        Raises:
            UsageError: There is none.
        """
        ids = list(self.splits.get(split, ()))
        if not ids:
            raise UsageError(f"there is no clip in the {split} split; give another --split, or other --data")
        return ids

    def available_split(self, split: Split) -> Split:
        """The split; validation, with a line, where there is no test split."""
        if split == "test" and not self.splits.get("test") and self.splits.get("validation"):
            say("there is no test split: scored on validation, which chose the epoch; expect less elsewhere")
            return "validation"
        return split

    def windows(self, split: Split) -> list[ClipWindows]:
        """Their features; clips that can't be read are reported and left out.

        Raises:
            UsageError: There is no clip, or none that can be read.
            CacheError: The cache is of other settings or weights.
        """
        ids, spec = self.ids(split), self.checkpoint.config.preprocessing
        models = place_encoders(
            Models(self.checkpoint.vision, self.checkpoint.audio, self.checkpoint.fusion),
            find_device(self.device),
        )
        if self.cache is None:
            windows = extract(self.source, ids, spec, models, workers=self.workers)
        else:
            with open_cache(self.cache, spec, models) as cache:
                fill_cache(cache, self.source, ids, spec, models, workers=self.workers)
                windows = cached_windows(cache, self.source, ids)
        if not windows:
            raise UsageError(f"no clip of the {split} split could be read; see the lines above")
        return windows

    def speakers(self, split: Split) -> dict[str, str]:
        """Speaker of each clip of a split, as far as the data tells."""
        if not isinstance(self.source, DatasetClips):
            return {}
        known = ((clip_id, self.source.records[clip_id].speaker) for clip_id in self.ids(split))
        return {clip_id: speaker for clip_id, speaker in known if speaker is not None}

    def label_counts(self) -> NDArray[np.int64]:
        """Count of each label in training, int64 ``[C]``, as recorded then or as annotated."""
        labels = self.checkpoint.config.labels
        recorded = self.checkpoint.training.settings.get(LABEL_STEPS_KEY)
        if isinstance(recorded, dict):
            return np.array([int(recorded.get(label, 0)) for label in labels], np.int64)
        truth = np.concatenate([self.source.truth(clip_id).labels for clip_id in self.ids("train")])
        return np.bincount(truth[truth != IGNORED], minlength=len(labels))


def find_clips(
    checkpoint: Checkpoint,
    data: DataRequest | None,
    *,
    workers: int,
    cache: Path | None = None,
    device: str = "cpu",
) -> ScoredClips:
    """Find the clips.

    Args:
        checkpoint: The checkpoint.
        data: Data sets; ``None`` takes the clips that the checkpoint was trained on and kept from, and no
            others. A clip that it knows stays in the split that it was in then, whatever was added since.
        workers: Processes that decode and crop.
        cache: Folder of features of data sets.
        device: Where the encoders run.

    Raises:
        UsageError: The checkpoint doesn't say where its clips are, or they are gone.
        DatasetError: A data set can't be read.
    """
    training, labels = checkpoint.training, checkpoint.config.labels
    named = [clip_id for ids in training.clips.values() for clip_id in ids]
    if data is None and named and all(clip_id.isdecimal() for clip_id in named):
        spec = ClipSpec(seconds=float(training.settings.get("clip_seconds", ClipSpec().seconds)))
        return ScoredClips(
            checkpoint, GeneratedClips(labels, {}, spec), training.clips, workers, cache, device
        )
    memo = None if cache is None else cache / MEDIA_FILE
    source = reopen_clips(
        data or _recorded_request(checkpoint),
        labels,
        tasks=checkpoint.config.tasks,
        workers=workers,
        memo=memo,
    )
    splits = _splits(training.clips, source, others=data is not None)
    return ScoredClips(checkpoint, source, splits, workers, cache, device)


def _splits(
    recorded: Mapping[str, Sequence[str]], source: ClipSource, *, others: bool
) -> dict[str, list[str]]:
    """Clips that are there, by split; ``others`` says whether those count that aren't recorded."""
    known = {clip_id: split for split, ids in recorded.items() for clip_id in ids}
    present = {clip_id: str(split) for split in SPLITS for clip_id in source.clip_ids(split)}
    if not others:
        _tell(len(known.keys() - present.keys()), "gone that the checkpoint names")
        _tell(len(present.keys() - known.keys()), "left out that the checkpoint doesn't know")
    splits: dict[str, list[str]] = {}
    for clip_id, dealt in present.items():
        if others or clip_id in known:
            splits.setdefault(known.get(clip_id, dealt), []).append(clip_id)
    return splits


def _tell(count: int, what: str) -> None:
    if count:
        say(f"{count} {'clips are' if count > 1 else 'clip is'} {what}")


def _recorded_request(checkpoint: Checkpoint) -> DataRequest:
    try:
        return msgspec.convert(checkpoint.training.settings[DATA_KEY], DataRequest)
    except (KeyError, msgspec.ValidationError) as error:
        raise UsageError(
            f"{checkpoint.folder}: doesn't say where its clips are; give --data NAME:PATH"
        ) from error
