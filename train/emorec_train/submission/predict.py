"""A submission straight from checkpoints: crops and sound of the data set, as in training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import UsageError
from emorec_train.data.dataset_clips import DatasetClips, report_problems
from emorec_train.data.datasets import AffWild2
from emorec_train.data.datasets.clip_items import all_media
from emorec_train.data.datasets.facts import media_facts
from emorec_train.data.datasets.registry import open_data_set
from emorec_train.data.datasets.template import SubmissionError, read_reference, whole_counts
from emorec_train.data.labels import map_labels
from emorec_train.evaluation.ensemble import average_clips, expand, label_order, member_caches
from emorec_train.evaluation.stitched import StitchedClip, reordered, stitch_clips
from emorec_train.features.cache.store import MEDIA_FILE, require_cache_folder
from emorec_train.features.extract import cached_windows, fill_cache, iter_features, open_cache
from emorec_train.features.windows import ClipWindows
from emorec_train.model.build import Models, find_device, place_encoders
from emorec_train.model.checkpoint import Checkpoint, load_checkpoint
from emorec_train.submission.format import LENGTH_SLACK_FRAMES, fit_length, write_submission


@dataclass(frozen=True, slots=True)
class SubmissionRequest:
    """Options of a prediction.

    Attributes:
        checkpoints: Folders of checkpoints, whose predictions are averaged, or that of an ensemble.
        data: ``affwild2:PATH``, where the template's sequences lie.
        template: The challenge's template, or a list of videos and frame counts.
        out: The submission.
        workers: Processes that decode and crop.
        slack: See ``fit_length``.
        caches: Folders of features: one for all checkpoints, one for each, or none.
        device: Where torch computes, ``cpu`` or ``cuda``.
    """

    checkpoints: tuple[Path, ...]
    data: str
    template: Path
    out: Path
    workers: int
    slack: int = LENGTH_SLACK_FRAMES
    caches: tuple[Path, ...] = ()
    device: str = "cpu"


def predict_submission(request: SubmissionRequest) -> int:
    """Predict every sequence of a template, and write the submission.

    Returns:
        The number of sequences.

    Raises:
        UsageError: The data isn't the challenge's.
        SubmissionError: The template can't be read; a sequence is missing, unreadable, or of another length.
        EmorecError: The checkpoint, the cache or the output won't do.
    """
    counts = whole_counts(read_reference(request.template))
    folders, decoding = expand(request.checkpoints)
    caches = member_caches(request.caches, len(folders))
    members: list[list[StitchedClip]] = []
    labels: tuple[str, ...] = ()
    for folder, cache in zip(folders, caches, strict=True):
        checkpoint = load_checkpoint(folder)
        labels = labels or checkpoint.config.labels
        decoding = checkpoint.decoding if decoding is None else decoding
        clips = list(_stitched(request, checkpoint, counts, cache))
        members.append(reordered(clips, label_order(labels, checkpoint.config.labels, folder)))
    averaged = {clip.clip_id: clip for clip in average_clips(members, folders)}
    write_submission(request.out, _labels(averaged, labels, decoding or Decoding(), counts, request.slack))
    return len(counts)


def _sequences(
    request: SubmissionRequest, counts: Mapping[str, int], labels: tuple[str, ...], cache: Path | None
) -> DatasetClips:
    name, data_set = open_data_set(request.data)
    if not isinstance(data_set, AffWild2):
        raise UsageError(f"--data {name}: the challenge's sequences come from affwild2:PATH")
    scan = data_set.sequences(counts)
    report_problems(data_set.name, scan.problems)
    records = {record.clip_id: record for record in scan.records}
    if absent := [video for video in counts if video not in records]:
        raise SubmissionError(
            request.template,
            f"lists {len(absent)} sequences that are not below {data_set.root}, such as {absent[0]}",
        )
    if cache is None:
        return DatasetClips(labels, records, {})
    require_cache_folder(cache)
    media, memo = all_media(scan.records), cache / MEDIA_FILE
    return DatasetClips(labels, records, media_facts(media, (), workers=request.workers, memo=memo))


def _stitched(
    request: SubmissionRequest, checkpoint: Checkpoint, counts: Mapping[str, int], cache: Path | None
) -> Iterator[StitchedClip]:
    """Logits of every sequence, with the times of its frames; the first one that can't be read ends it."""
    source = _sequences(request, counts, checkpoint.config.labels, cache)
    for video, clip in zip_longest(counts, _windows(request, checkpoint, source, cache)):
        if clip is None or clip.clip_id != video:
            raise SubmissionError(video, "can't be predicted, see the lines above; no submission is written")
        (stitched,) = stitch_clips(checkpoint.fusion, [clip], device=request.device)
        yield replace(stitched, labels=np.zeros(0, np.int64), at_seconds=clip.frame_times_seconds)


def _windows(
    request: SubmissionRequest, checkpoint: Checkpoint, source: DatasetClips, cache: Path | None
) -> Iterator[ClipWindows]:
    ids, spec = list(source.records), checkpoint.config.preprocessing
    models = place_encoders(
        Models(checkpoint.vision, checkpoint.audio, checkpoint.fusion), find_device(request.device)
    )
    if cache is None:
        yield from iter_features(source, ids, spec, models, workers=request.workers)
        return
    with open_cache(cache, spec, models) as features:
        fill_cache(features, source, ids, spec, models, workers=request.workers)
        yield from cached_windows(features, source, ids)


def _labels(
    clips: Mapping[str, StitchedClip],
    labels: tuple[str, ...],
    decoding: Decoding,
    counts: Mapping[str, int],
    slack: int,
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Each frame's label, index into ``EXPRESSIONS``, int64 ``[F]``, in the template's order."""
    for video, frames in counts.items():
        own = map_labels(clips[video].predicted(decoding), labels, EXPRESSIONS)
        yield video, fit_length(video, own, frames, slack).astype(np.int64)
