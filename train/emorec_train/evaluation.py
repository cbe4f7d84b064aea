"""Scores of a checkpoint on a split, and its decoding tuned on the validation split."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from emorec_rt.errors import OutputError
from emorec_rt.manifest import Decoding
from emorec_rt.writers.base import WholeFile
from emorec_train.clips import Split
from emorec_train.dataset_clips import DataRequest
from emorec_train.decoding import Tuned, tune
from emorec_train.evaluate import StitchedClip, score_clips, stitched_clips
from emorec_train.metrics import Scores, clip_scores, confusion, table
from emorec_train.model.checkpoint import load_checkpoint, store_decoding
from emorec_train.plots import plot_confusion
from emorec_train.progress import say
from emorec_train.recorded import ScoredClips, scored_clips

SCORES_FILE, CONFUSION_FILE, VIDEOS_FILE = "scores.json", "confusion.png", "videos.csv"


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What to score.

    Attributes:
        checkpoint: Its folder.
        out: Folder of the results.
        split: Which clips.
        tune: Choose smoothing and prior correction on the validation split, and keep them in the checkpoint.
        workers: Processes that decode and crop.
        data: Data sets; ``None`` takes the clips that the checkpoint names.
        cache: Folder of features.
    """

    checkpoint: Path
    out: Path
    split: Split
    tune: bool
    workers: int
    data: DataRequest | None = None
    cache: Path | None = None


def run_evaluation(request: Evaluation) -> Scores:
    """Score a checkpoint; write ``scores.json``, ``confusion.png`` and ``videos.csv``.

    Returns:
        The scores with the checkpoint's decoding, which was tuned first if that was asked for.

    Raises:
        EmorecError: The checkpoint, the clips or the output folder won't do.
    """
    checkpoint = load_checkpoint(request.checkpoint)
    clips = scored_clips(checkpoint, request.data, workers=request.workers, cache=request.cache)
    labels, decoding = checkpoint.config.labels, checkpoint.decoding
    if request.tune:
        decoding = _tune(clips, request.checkpoint)
    stitched = stitched_clips(checkpoint.fusion, clips.windows(request.split))
    scores = {"plain": score_clips(stitched, labels)}
    if decoding != Decoding():
        scores["decoded"] = score_clips(stitched, labels, decoding)
    say(table({f"{name} ({request.split})": value for name, value in scores.items()}))
    _write(request, stitched, labels, decoding, scores)
    return scores.get("decoded", scores["plain"])


def _tune(clips: ScoredClips, folder: Path) -> Decoding:
    stitched = stitched_clips(clips.checkpoint.fusion, clips.windows("validation"))
    labels = clips.checkpoint.config.labels
    tuned = tune(lambda decoding: score_clips(stitched, labels, decoding).macro_f1, clips.label_counts())
    store_decoding(folder, tuned.decoding, _tuning(tuned))
    say(
        f"tuned on validation: smoothing {tuned.decoding.smoothing_seconds:g} s, prior correction "
        f"x {tuned.strength:g}: macro F1 {tuned.before:.3f} -> {tuned.after:.3f}; kept in {folder}"
    )
    return tuned.decoding


def _tuning(tuned: Tuned) -> dict[str, Any]:
    return {
        "split": "validation",
        "strength": tuned.strength,
        "macro_f1": {"before": tuned.before, "after": tuned.after},
    }


def _write(
    request: Evaluation,
    clips: Sequence[StitchedClip],
    labels: Sequence[str],
    decoding: Decoding,
    scores: dict[str, Scores],
) -> None:
    predicted = [clip.predicted(decoding) for clip in clips]
    truth = np.concatenate([clip.labels for clip in clips])
    matrix = confusion(truth, np.concatenate(predicted), len(labels))
    result = {
        "checkpoint": str(request.checkpoint),
        "split": request.split,
        "clips": len(clips),
        "decoding": msgspec.to_builtins(decoding),
        "scores": msgspec.to_builtins(scores),
        "labels": list(labels),
        "confusion": matrix.tolist(),
    }
    try:
        request.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(request.out, f"can't be written: {error.strerror or error}") from error
    with WholeFile(request.out / SCORES_FILE) as file:
        file.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    with WholeFile(request.out / VIDEOS_FILE) as file:
        file.write(_videos(clips, predicted, labels))
    plot_confusion(
        matrix, labels, f"{request.checkpoint.name}, {request.split}", request.out / CONFUSION_FILE
    )


def _videos(clips: Sequence[StitchedClip], predicted: Sequence[Any], labels: Sequence[str]) -> str:
    """A row for each video: its scores, and how many of its frames or steps got each label."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["video", "counted", "labelled", "accuracy", "macro_f1_of_its_classes", *labels])
    for clip, own in zip(clips, predicted, strict=True):
        labelled, accuracy, macro_f1 = clip_scores(clip.labels, own)
        counts = np.bincount(own, minlength=len(labels)).tolist()
        rows.writerow([clip.clip_id, len(own), labelled, f"{accuracy:.4f}", f"{macro_f1:.4f}", *counts])
    return text.getvalue()
