"""ABAW EXPR submissions: one file for all videos, a row for each frame, faceless ones too.

    image_location,Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other
    14-30-1920x1080/00001.jpg,0

The header's nine columns stand over rows of two, as in the challenge's own templates. ``submission_check``
compares a file with the template before it is sent.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.files import WholeFile
from emorec_train.data.datasets.template import HEADER, SubmissionError

LENGTH_SLACK_FRAMES: Final = 2
"""Templates count one frame more than many containers hold; more than this may be a different video."""

_VIDEO: Final = re.compile(r"[^/,\s]+")


class SubmissionWriter:
    """A submission that appears whole when the ``with`` block ends, or not at all.

    Args:
        path: The file.

    Raises:
        OutputError: It can't be written.
    """

    def __init__(self, path: Path) -> None:
        self._file = WholeFile(path)
        self._path = path
        self._videos: set[str] = set()
        self._file.write(HEADER + "\n")

    def add(self, video: str, labels: NDArray[np.integer]) -> None:
        """Write the rows of one video.

        Args:
            video: Its name, with ``_left`` or ``_right`` where the challenge has it.
            labels: ``[F]``, index into ``EXPRESSIONS``, a label for each of the frames 1 to F.

        Raises:
            SubmissionError: The name is empty, was there before or can't stand in a row; there is no frame;
                a label is out of range.
            OutputError: The disk is full.
        """
        self._check(video, labels)
        rows = (f"{video}/{frame:05d}.jpg,{label}\n" for frame, label in enumerate(labels.tolist(), 1))
        self._file.write("".join(rows))
        self._videos.add(video)

    def _check(self, video: str, labels: NDArray[np.integer]) -> None:
        if not _VIDEO.fullmatch(video):
            raise SubmissionError(self._path, f"{video!r} can't name a video in a submission")
        if video in self._videos:
            raise SubmissionError(self._path, f"{video} is already in it")
        if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
            raise SubmissionError(
                self._path, f"{video}: expected integer labels [F], came {labels.dtype} {list(labels.shape)}"
            )
        wrong = np.flatnonzero((labels < 0) | (labels >= len(EXPRESSIONS)))
        if len(wrong):
            first = int(wrong[0])
            raise SubmissionError(
                self._path,
                f"{video}: label {labels[first]} of frame {first + 1} is not 0 to {len(EXPRESSIONS) - 1}"
                + (f", nor are {len(wrong) - 1} others" if len(wrong) > 1 else ""),
            )

    def __enter__(self) -> SubmissionWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and not self._videos:
            self._file.discard()
            raise SubmissionError(self._path, "no video was added")
        self._file.__exit__(kind, error, trace)


def write_submission(path: Path, videos: Iterable[tuple[str, NDArray[np.integer]]]) -> None:
    """Write a submission from videos and their labels, taken one at a time.

    Raises:
        SubmissionError: See ``SubmissionWriter.add``; or there is no video.
        OutputError: It can't be written.
    """
    with SubmissionWriter(path) as writer:
        for video, labels in videos:
            writer.add(video, labels)


def fit_length(
    video: str, labels: NDArray[np.integer], frames: int, slack: int = LENGTH_SLACK_FRAMES
) -> NDArray[np.integer]:
    """Labels for exactly the frames that the template lists: the last one repeated, or left out.

    Args:
        video: Named in an error.
        labels: ``[F]``, a label for each decoded frame.
        frames: Rows of the video in the template.
        slack: By how many frames they may differ.

    Raises:
        SubmissionError: They differ by more than ``slack``, or there is no label.
    """
    difference = abs(len(labels) - frames)
    if not len(labels) or difference > slack:
        hint = f"; where that is right, allow it by --slack {difference}" if len(labels) else ""
        raise SubmissionError(video, f"{len(labels)} frames were decoded, the template lists {frames}{hint}")
    return np.pad(labels, (0, max(0, frames - len(labels))), mode="edge")[:frames]
