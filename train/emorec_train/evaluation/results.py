"""Results of an evaluation on disk: scores, confusion matrix, a row for each video and each speaker."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.errors import OutputError
from emorec_rt.files import write_whole
from emorec_train.data.synthetic import Split
from emorec_train.evaluation.measures import MeasureScores, score_measures
from emorec_train.evaluation.metrics import (
    Scores,
    confusion,
    macro_f1_interval,
    matrix_scores,
    present_f1,
)
from emorec_train.evaluation.plots import plot_confusion
from emorec_train.evaluation.stitched import StitchedClip, score_clips, score_whole_clips

SCORES_FILE: Final = "scores.json"
CONFUSION_FILE: Final = "confusion.png"
VIDEOS_FILE: Final = "videos.csv"
SPEAKERS_FILE: Final = "speakers.csv"


@dataclass(frozen=True, slots=True)
class Results:
    """Predictions on a split, with what they are scored by.

    Attributes:
        title: Of the confusion matrix.
        checkpoints: Folders of the models.
        split: The clips' split.
        clips: Stitched clips.
        speakers: Speaker of each clip by its identity; clips of unknown speakers stand for themselves.
        labels: Class names.
        decoding: Smoothing and prior correction.
        tasks: What the model gives beside the classes; an ensemble is scored by its classes alone.
    """

    title: str
    checkpoints: tuple[Path, ...]
    split: Split
    clips: Sequence[StitchedClip]
    speakers: Mapping[str, str]
    labels: tuple[str, ...]
    decoding: Decoding
    tasks: Tasks = NO_TASKS

    def measures(self) -> MeasureScores | None:
        """Scores of what the model gives beside the classes; ``None`` where that is nothing."""
        return score_measures(self.clips, self.tasks, self.decoding)

    def scores(self) -> dict[str, Scores]:
        """Scores without and with the decoding, and those of whole clips where each has one label."""
        rows = {"plain": score_clips(self.clips, self.labels)}
        if self.decoding != Decoding():
            rows["decoded"] = score_clips(self.clips, self.labels, self.decoding)
        whole = score_whole_clips(self.clips, self.labels, self.decoding)
        return rows if whole is None else {**rows, "whole clips": whole}

    def matrices(self) -> dict[str, NDArray[np.int64]]:
        """Confusion matrix of each clip, decoded."""
        return {
            clip.clip_id: confusion(clip.labels, clip.predicted(self.decoding), len(self.labels))
            for clip in self.clips
        }

    def by_speaker(self) -> dict[str, NDArray[np.int64]]:
        """Confusion matrix of each speaker, decoded."""
        sums: dict[str, NDArray[np.int64]] = {}
        for clip_id, matrix in self.matrices().items():
            speaker = self.speakers.get(clip_id, clip_id)
            sums[speaker] = sums[speaker] + matrix if speaker in sums else matrix
        return sums

    def interval(self) -> tuple[float, float]:
        """Bootstrap interval of macro F1 over the speakers."""
        return macro_f1_interval(list(self.by_speaker().values()))


def write_results(folder: Path, results: Results) -> None:
    """Write ``scores.json``, ``confusion.png``, ``videos.csv`` and ``speakers.csv``.

    Raises:
        OutputError: The folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, f"can't be written: {error.strerror or error}") from error
    matrices = results.matrices()
    total = np.sum(list(matrices.values()), axis=0)
    write_whole(
        folder / SCORES_FILE, msgspec.json.format(msgspec.json.encode(_scores(results)), indent=2) + b"\n"
    )
    write_whole(folder / VIDEOS_FILE, _videos(results, matrices))
    write_whole(folder / SPEAKERS_FILE, _speakers(results))
    plot_confusion(total, results.labels, results.title, folder / CONFUSION_FILE)


def _scores(results: Results) -> dict[str, Any]:
    scores, low_high = results.scores(), results.interval()
    decoded = scores.get("decoded", scores["plain"])
    measured = results.measures()
    return {
        "checkpoints": [str(folder) for folder in results.checkpoints],
        "split": results.split,
        "clips": len(results.clips),
        "speakers": len(results.by_speaker()),
        "decoding": msgspec.to_builtins(results.decoding),
        "scores": msgspec.to_builtins(scores),
        "macro_f1_interval": [round(value, 4) for value in low_high],
        "labels": list(results.labels),
        "confusion": decoded.confusion,
        **({} if measured is None else {"measures": msgspec.to_builtins(measured)}),
    }


def _videos(results: Results, matrices: Mapping[str, NDArray[np.int64]]) -> str:
    """A row for each video: its scores, and how many of its frames or steps got each label."""
    head = ["video", "counted", "labelled", "accuracy", "macro_f1_of_its_classes", *results.labels]
    rows = []
    for clip in results.clips:
        predicted, matrix = clip.predicted(results.decoding), matrices[clip.clip_id]
        counts = np.bincount(predicted, minlength=len(results.labels)).tolist()
        rows.append([clip.clip_id, len(predicted), *_of(matrix), *counts])
    return _csv(head, rows)


def _of(matrix: NDArray[np.int64]) -> list[str]:
    """Labelled steps, accuracy, and the mean F1 of the classes that occur."""
    steps = int(matrix.sum())
    accuracy = np.trace(matrix) / steps if steps else float("nan")
    return [str(steps), f"{accuracy:.4f}", f"{present_f1(matrix):.4f}"]


def _speakers(results: Results) -> str:
    head = ["speaker", "labelled", "accuracy", "macro_f1_of_its_classes", "uar"]
    rows = [
        [speaker, *_of(matrix), f"{matrix_scores(matrix, results.labels).uar:.4f}"]
        for speaker, matrix in sorted(results.by_speaker().items())
    ]
    return _csv(head, rows)


def _csv(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    text = io.StringIO()
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(head)
    lines.writerows(rows)
    return text.getvalue()
