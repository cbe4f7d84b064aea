"""The clips that a checkpoint was trained on and kept from, drawn again from their seeds."""

from __future__ import annotations

from collections.abc import Iterator

from emorec_calib.collect import CalibrationClip
from emorec_rt.errors import UsageError
from emorec_train.clips import ClipSpec, Split
from emorec_train.data import GeneratedClips, LabelledClip
from emorec_train.model.checkpoint import Checkpoint


def clip_ids(checkpoint: Checkpoint, split: Split, count: int) -> list[str]:
    """The first ``count`` clips of a split, or all if there are fewer.

    Raises:
        UsageError: The checkpoint records no clips that can be drawn again.
    """
    recorded = checkpoint.training.clips.get(split, [])
    if not recorded or not all(clip_id.isdecimal() for clip_id in recorded):
        raise UsageError(
            f"{checkpoint.folder}: records no generated {split} clips; "
            "calibrate on recordings with calibration/collect.py and give --calib"
        )
    return recorded[:count]


def labelled_clips(checkpoint: Checkpoint, ids: list[str]) -> Iterator[LabelledClip]:
    """Draw clips one at a time, with their labels."""
    seconds = checkpoint.training.settings.get("clip_seconds")
    spec = ClipSpec() if seconds is None else ClipSpec(seconds=float(seconds))
    source = GeneratedClips(checkpoint.config.labels, {}, spec)
    return map(source.open, ids)


def calibration_clips(checkpoint: Checkpoint, ids: list[str]) -> Iterator[CalibrationClip]:
    """Draw clips one at a time, as calibration takes them."""
    for clip_id, clip in zip(ids, labelled_clips(checkpoint, ids), strict=True):
        yield CalibrationClip(clip_id, clip.items)
