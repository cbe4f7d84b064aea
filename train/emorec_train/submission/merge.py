"""From the rows that ``emorec-rt`` writes to a submission with every frame of the template, in its order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.template import (
    ROW,
    Reference,
    SubmissionError,
    numbered_lines,
    open_lines,
    show,
    whole_counts,
)
from emorec_train.data.labels import map_labels
from emorec_train.submission.format import LENGTH_SLACK_FRAMES, fit_length, write_submission

Labels = NDArray[np.int64]


def merge_predictions(
    paths: Sequence[Path], reference: Reference, out: Path, slack: int = LENGTH_SLACK_FRAMES
) -> int:
    """Write a submission.

    Args:
        paths: Text files of ``emorec-rt``, each with the rows of one video or of many.
        reference: Says which videos, in which order, and how many frames of each.
        out: The submission.
        slack: See ``fit_length``.

    Returns:
        The number of videos that the template lists.

    Raises:
        SubmissionError: A file can't be read, a video is there twice or not at all, or its length differs.
        OutputError: ``out`` can't be written.
    """
    predicted: dict[str, Labels] = {}
    for path in paths:
        for video, labels in read_predictions(path).items():
            if video in predicted:
                raise SubmissionError(path, f"has {video}, which another file has too")
            predicted[video] = labels
    if absent := [show(name) for name in reference.frames if show(name) not in predicted]:
        raise SubmissionError(
            reference.path, f"lists {len(absent)} videos without predictions, such as {absent[0]}"
        )
    counts = whole_counts(reference)
    write_submission(out, _fitted(predicted, counts, slack))
    return len(counts)


def read_predictions(path: Path) -> dict[str, Labels]:
    """Labels of each frame by video, index into ``EXPRESSIONS`` whatever the file's own order.

    Raises:
        SubmissionError: It can't be read, is not such a file, or lacks a frame.
    """
    names: tuple[str, ...] = ()
    rows: dict[bytes, list[int]] = {}
    with open_lines(path) as file:
        for number, line in numbered_lines(file):
            if number == 1:
                names = _names(path, line)
                continue
            match = ROW.fullmatch(line)
            if match is None or not match[3] or not 0 <= int(match[3]) < len(names):
                raise SubmissionError(path, f"line {number} is not a prediction: {show(line[:80])!r}")
            own = rows.setdefault(match[1], [])
            own.append(int(match[3]))
            if int(match[2]) != len(own):
                raise SubmissionError(path, f"line {number}: expected frame {len(own)} of {show(match[1])}")
    return {
        show(video): map_labels(np.array(labels, np.int64), names, EXPRESSIONS)
        for video, labels in rows.items()
    }


def _names(path: Path, line: bytes) -> tuple[str, ...]:
    first, *names = show(line).strip().split(",")
    if first != "image_location" or not names or not set(names) <= set(EXPRESSIONS):
        raise SubmissionError(path, "has no header 'image_location,' and the names of expressions")
    return tuple(names)


def _fitted(
    predicted: Mapping[str, Labels], counts: Mapping[str, int], slack: int
) -> Iterator[tuple[str, Labels]]:
    for video, frames in counts.items():
        yield video, fit_length(video, predicted[video], frames, slack).astype(np.int64)
