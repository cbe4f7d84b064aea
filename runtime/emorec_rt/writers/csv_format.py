"""Comma-separated values with everything that is known of each frame."""

from __future__ import annotations

import csv
import io

from emorec_rt.windows.prediction import Prediction

BOX_COLUMNS = ("box_left", "box_top", "box_width", "box_height")


class CsvFormat:
    """Frame, time, label, one probability a class, flags, face box (empty where there is no face).

    The label is empty where neither a face was seen nor sound was heard.

    Args:
        labels: Class names.
        video: Unused; every format takes the same arguments.
        people: Whether to tell persons apart, in a column ``person`` after the time.
    """

    def __init__(self, labels: tuple[str, ...], video: str, *, people: bool = False) -> None:  # noqa: ARG002
        self._labels = labels
        self._people = people

    def header(self) -> str:
        """Column names."""
        person = ["person"] if self._people else []
        flags = ["face", "sound", *BOX_COLUMNS]
        return csv_line(["frame", "time_seconds", *person, "label", *self._labels, *flags])

    def row(self, prediction: Prediction) -> str:
        """One frame."""
        box = prediction.box
        sides = [""] * 4 if box is None else [f"{v:.1f}" for v in (box.left, box.top, box.width, box.height)]
        return csv_line(
            [
                str(prediction.index),
                f"{prediction.time_seconds:.6f}",
                *([str(prediction.person or "")] if self._people else []),
                prediction.label if prediction.known else "",
                *(f"{p:.4f}" for p in prediction.probabilities.tolist()),
                str(int(prediction.face)),
                str(int(prediction.sound)),
                *sides,
            ]
        )

    def end(self) -> str:
        """Nothing follows the last row."""
        return ""


def csv_line(cells: list[str]) -> str:
    """A line of comma-separated values, quoted where needed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
