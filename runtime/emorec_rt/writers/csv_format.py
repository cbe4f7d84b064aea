"""Comma-separated values with everything that is known of each frame."""

from __future__ import annotations

import csv
import io

from emorec_rt.prediction import Prediction

BOX_COLUMNS = ("box_left", "box_top", "box_width", "box_height")


class CsvFormat:
    """Frame, time, label, one probability a class, flags, face box (empty where there is no face).

    Args:
        labels: Class names.
        video: Unused; every format takes the same arguments.
    """

    def __init__(self, labels: tuple[str, ...], video: str) -> None:  # noqa: ARG002
        self._labels = labels

    def header(self) -> str:
        """Column names."""
        return _line(["frame", "time_seconds", "label", *self._labels, "face", "sound", *BOX_COLUMNS])

    def row(self, prediction: Prediction) -> str:
        """One frame."""
        box = prediction.box
        sides = [""] * 4 if box is None else [f"{v:.1f}" for v in (box.left, box.top, box.width, box.height)]
        return _line(
            [
                str(prediction.index),
                f"{prediction.time_seconds:.6f}",
                prediction.label,
                *(f"{p:.4f}" for p in prediction.probabilities.tolist()),
                str(int(prediction.face)),
                str(int(prediction.sound)),
                *sides,
            ]
        )

    def end(self) -> str:
        """Nothing follows the last row."""
        return ""


def _line(cells: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
