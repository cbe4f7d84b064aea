"""Scores of a checkpoint on a split, and its decoding tuned on the validation split."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
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
        out: Folder of the results; ``None`` for one beside the checkpoint, with the split in its name.
        split: Which clips; without a test split, validation takes its place.
        tune: Choose smoothing and prior correction on the validation split, and keep them in the checkpoint.
        workers: Processes that decode and crop.
        data: Data sets; ``None`` takes the clips that the checkpoint names.
        cache: Folder of features.
    """

    checkpoint: Path
    out: Path | None
    split: Split
    tune: bool
    workers: int
    data: DataRequest | None = None
    cache: Path | None = None


def run_evaluation(request: Evaluation) -> Path:
    """Score a checkpoint with its decoding, tuned first if that is asked for.

    Returns:
        The folder of ``scores.json``, ``confusion.png`` and ``videos.csv``.

    Raises:
        EmorecError: The checkpoint, the clips or the output folder won't do.
    """
    checkpoint = load_checkpoint(request.checkpoint)
    clips = scored_clips(checkpoint, request.data, workers=request.workers, cache=request.cache)
    labels, decoding, split = checkpoint.config.labels, checkpoint.decoding, clips.scored(request.split)
    clips.ids(split)  # nothing is tuned and kept for a call that can't be finished
    if request.tune:
        decoding = _tune(clips, request.checkpoint)
        if split == "validation":
            say("the decoding was tuned on these very clips: the scores with it flatter")
    stitched = stitched_clips(checkpoint.fusion, clips.windows(split))
    scores = {"plain": score_clips(stitched, labels)}
    if decoding != Decoding():
        scores["decoded"] = score_clips(stitched, labels, decoding)
    say(table({f"{name} ({split})": value for name, value in scores.items()}))
    out = request.out or request.checkpoint.with_name(f"{request.checkpoint.name}-{split}")
    _write(out, replace(request, split=split), stitched, labels, decoding, scores)
    return out


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
    out: Path,
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
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(out, f"can't be written: {error.strerror or error}") from error
    with WholeFile(out / SCORES_FILE) as file:
        file.write(msgspec.json.format(msgspec.json.encode(result), indent=2).decode() + "\n")
    with WholeFile(out / VIDEOS_FILE) as file:
        file.write(_videos(clips, predicted, labels))
    plot_confusion(matrix, labels, f"{request.checkpoint.name}, {request.split}", out / CONFUSION_FILE)


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
