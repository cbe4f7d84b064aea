"""Several checkpoints whose predictions are averaged: their file, and the average."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.errors import UsageError
from emorec_rt.files import write_whole
from emorec_train.evaluation.decoding import interpolate
from emorec_train.evaluation.stitched import StitchedClip
from emorec_train.model.checkpoint_parts import CheckpointError

FILE_NAME: Final = "ensemble.json"
_LEAST: Final = 1e-9
"""Below it a probability is taken to be this, so that its logarithm is finite."""


class Ensemble(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``ensemble.json``, which stands for its members wherever a checkpoint's folder does.

    Attributes:
        format: Tells the file from any other JSON.
        schema_version: Version of this format.
        checkpoints: Folders of the members.
        decoding: From the averaged logits to labels, as ``train/evaluate.py --tune`` found it.
    """

    format: Literal["emorec-ensemble"] = "emorec-ensemble"
    schema_version: Literal[1] = 1
    checkpoints: tuple[str, ...]
    decoding: Decoding = Decoding()


def expand(checkpoints: Sequence[Path]) -> tuple[tuple[Path, ...], Decoding | None]:
    """Members of an ensemble, and its decoding.

    Args:
        checkpoints: Folders of checkpoints, or the one folder of an ensemble.

    Returns:
        The members' folders; the decoding, ``None`` where a single checkpoint has its own.

    Raises:
        CheckpointError: The ensemble's file isn't valid.
        UsageError: An ensemble stands among other checkpoints.
    """
    files = [folder / FILE_NAME for folder in checkpoints if (folder / FILE_NAME).is_file()]
    if not files:
        return tuple(checkpoints), None if len(checkpoints) == 1 else Decoding()
    if len(checkpoints) > 1:
        raise UsageError(f"{files[0].parent} is an ensemble of its own; name its checkpoints, or it alone")
    try:
        ensemble = msgspec.json.decode(files[0].read_bytes(), type=Ensemble)
    except (OSError, msgspec.DecodeError) as error:
        raise CheckpointError(files[0], f"is not an ensemble of emorec: {error}") from error
    return tuple(Path(folder) for folder in ensemble.checkpoints), ensemble.decoding


def member_caches(caches: Sequence[Path], members: int) -> list[Path | None]:
    """Folder of features of each member: none, the same one, or one each.

    Raises:
        UsageError: There are some, and too few or too many.
    """
    if len(caches) not in (0, 1, members):
        raise UsageError(f"--cache: give one for all {members} checkpoints, or one for each, in their order")
    if not caches:
        return [None] * members
    return [*caches] * (members if len(caches) == 1 else 1)


def write_ensemble(folder: Path, checkpoints: Sequence[Path], decoding: Decoding) -> None:
    """Write ``ensemble.json``.

    Raises:
        OutputError: It can't be written.
    """
    ensemble = Ensemble(checkpoints=tuple(str(path.resolve()) for path in checkpoints), decoding=decoding)
    write_whole(folder / FILE_NAME, msgspec.json.format(msgspec.json.encode(ensemble), indent=2) + b"\n")


def label_order(labels: Sequence[str], own: Sequence[str], folder: Path) -> NDArray[np.int64]:
    """Place of each of ``labels`` among a member's own.

    Raises:
        UsageError: The member has other labels.
    """
    if sorted(labels) != sorted(own):
        raise UsageError(f"{folder}: has the labels {', '.join(own)}, the first one {', '.join(labels)}")
    return np.array([list(own).index(label) for label in labels], np.int64)


def average_clips(members: Sequence[Sequence[StitchedClip]], folders: Sequence[Path]) -> list[StitchedClip]:
    """Average the probabilities of several models; the result has their logarithms as logits.

    Args:
        members: Each model's clips, with the labels in one order. The first one's times are kept.
        folders: Of the models, for errors.

    Raises:
        UsageError: A model has other clips than the first one.
    """
    if len(members) == 1:
        return list(members[0])
    by_id = [{clip.clip_id: clip for clip in own} for own in members]
    for own, folder in zip(by_id, folders, strict=True):
        if odd := sorted(own.keys() ^ by_id[0].keys()):
            raise UsageError(
                f"{folder}: was not kept from the same clips as {folders[0]} ({len(odd)} differ, such as"
                f" {odd[0]}); an ensemble is scored on clips that none of its members has learnt"
            )
    return [_average([own[clip_id] for own in by_id]) for clip_id in by_id[0]]


def _average(clips: Sequence[StitchedClip]) -> StitchedClip:
    times = clips[0].times_seconds
    total = np.zeros_like(clips[0].logits, np.float64)
    for clip in clips:
        total += softmax(interpolate(clip.times_seconds, clip.logits, times), axis=1)
    logits = np.log(np.maximum(total / len(clips), _LEAST)).astype(np.float32)
    return replace(clips[0], logits=logits)
