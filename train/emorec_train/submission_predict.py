"""A submission straight from a checkpoint: crops and sound of the data set, as in training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import UsageError
from emorec_rt.signal import EXPRESSIONS
from emorec_train.cache.store import MEDIA_FILE, require_cache_folder
from emorec_train.dataset_clips import DatasetClips, tell_problems
from emorec_train.datasets import AffWild2
from emorec_train.datasets.facts import media_facts
from emorec_train.datasets.opening import open_data_set
from emorec_train.datasets.reading import all_media
from emorec_train.decoding import predict
from emorec_train.evaluate import stitched_clips
from emorec_train.extraction import cached_windows, extracting, fill_cache, open_cache
from emorec_train.features import ClipWindows
from emorec_train.labels import map_labels
from emorec_train.model.build import Models
from emorec_train.model.checkpoint import Checkpoint, load_checkpoint
from emorec_train.submission import LENGTH_SLACK_FRAMES, SubmissionError, fit_length, write_submission
from emorec_train.submission_reference import read_reference, whole_counts


@dataclass(frozen=True, slots=True)
class SubmissionRequest:
    """What to predict.

    Attributes:
        checkpoint: Its folder.
        data: ``affwild2:PATH``, where the template's sequences lie.
        template: The challenge's template, or a list of videos and frame counts.
        out: The submission.
        workers: Processes that decode and crop.
        slack: See ``fit_length``.
        cache: Folder of features; ``None`` keeps none.
    """

    checkpoint: Path
    data: str
    template: Path
    out: Path
    workers: int
    slack: int = LENGTH_SLACK_FRAMES
    cache: Path | None = None


def predict_submission(request: SubmissionRequest) -> int:
    """Predict every sequence of a template, and write the submission.

    Returns:
        How many sequences there are.

    Raises:
        UsageError: The data isn't the challenge's.
        SubmissionError: The template can't be read; a sequence is missing, unreadable, or of another length.
        EmorecError: The checkpoint, the cache or the output won't do.
    """
    checkpoint = load_checkpoint(request.checkpoint)
    counts = whole_counts(read_reference(request.template))
    source = _sequences(request, counts, checkpoint.config.labels)
    write_submission(request.out, _labels(request, checkpoint, source, counts))
    return len(counts)


def _sequences(
    request: SubmissionRequest, counts: Mapping[str, int], labels: tuple[str, ...]
) -> DatasetClips:
    name, data_set = open_data_set(request.data)
    if not isinstance(data_set, AffWild2):
        raise UsageError(f"--data {name}: the challenge's sequences come from affwild2:PATH")
    scan = data_set.sequences(counts)
    tell_problems(data_set.name, scan.problems)
    records = {record.clip_id: record for record in scan.records}
    if absent := [video for video in counts if video not in records]:
        raise SubmissionError(
            request.template,
            f"lists {len(absent)} sequences that are not below {data_set.root}, such as {absent[0]}",
        )
    if request.cache is None:
        return DatasetClips(labels, records, {})
    require_cache_folder(request.cache)
    media, memo = all_media(scan.records), request.cache / MEDIA_FILE
    return DatasetClips(labels, records, media_facts(media, (), workers=request.workers, memo=memo))


def _labels(
    request: SubmissionRequest, checkpoint: Checkpoint, source: DatasetClips, counts: Mapping[str, int]
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    """Sequences in the template's order; the first one that can't be read ends it."""
    clips = _windows(request, checkpoint, source)
    for (video, frames), clip in zip_longest(counts.items(), clips):
        if clip is None or clip.clip_id != video:
            raise SubmissionError(video, "can't be predicted, see the lines above; no submission is written")
        labels = fit_length(video, _frame_labels(checkpoint, clip), frames, request.slack)
        yield video, labels.astype(np.int64)


def _windows(
    request: SubmissionRequest, checkpoint: Checkpoint, source: DatasetClips
) -> Iterator[ClipWindows]:
    ids, spec = list(source.records), checkpoint.config.preprocessing
    models = Models(checkpoint.vision, checkpoint.audio, checkpoint.fusion)
    if request.cache is None:
        yield from extracting(source, ids, spec, models, workers=request.workers)
        return
    with open_cache(request.cache, spec, models) as cache:
        fill_cache(cache, source, ids, spec, models, workers=request.workers)
        yield from cached_windows(cache, source, ids)


def _frame_labels(checkpoint: Checkpoint, clip: ClipWindows) -> NDArray[np.int64]:
    """Each frame's label, index into ``EXPRESSIONS``, int64 ``[F]``."""
    (stitched,) = stitched_clips(checkpoint.fusion, [clip])
    own = predict(
        stitched.times_seconds, stitched.logits, checkpoint.decoding, at_seconds=clip.frame_times_seconds
    )
    return map_labels(own, checkpoint.config.labels, EXPRESSIONS)
