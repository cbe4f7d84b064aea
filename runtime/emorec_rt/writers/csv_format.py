"""Comma-separated values with everything that is known of each frame."""

from __future__ import annotations

import csv
import io

from emorec_rt.windows.prediction import Prediction

BOX_COLUMNS = ("box_left", "box_top", "box_width", "box_height")


class CsvFormat:
    """Frame, time, label, one probability a class, measures, flags, face box (empty where there is no face).

    The label is empty where neither a face was seen nor sound was heard. Where frames may be left out, the
    first row says so, and a column ``interpolated`` comes last.

    Args:
        labels: Class names.
        video: Unused; every format takes the same arguments.
        people: Whether to tell persons apart, in a column ``person`` after the time.
        measures: Names of what rows tell beside the classes.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        video: str,  # noqa: ARG002
        *,
        people: bool = False,
        measures: tuple[str, ...] = (),
    ) -> None:
        self._labels = labels
        self._measures = measures
        self._people = people
        self._begun = False

    def header(self) -> str:
        """Nothing yet: the first row says which columns there are."""
        return ""

    def row(self, prediction: Prediction) -> str:
        """One frame, after the column names where it is the first."""
        return self._names(list(prediction.flags)) + self._cells(prediction)

    def end(self) -> str:
        """The column names, where there was no row."""
        return self._names([])

    def _names(self, flags: list[str]) -> str:
        if self._begun:
            return ""
        self._begun = True
        person = ["person"] if self._people else []
        last = ["face", "sound", *BOX_COLUMNS, *flags]
        return csv_line(["frame", "time_seconds", *person, "label", *self._labels, *self._measures, *last])

    def _cells(self, prediction: Prediction) -> str:
        box = prediction.box
        sides = [""] * 4 if box is None else [f"{v:.1f}" for v in (box.left, box.top, box.width, box.height)]
        return csv_line(
            [
                str(prediction.index),
                f"{prediction.time_seconds:.6f}",
                *([str(prediction.person or "")] if self._people else []),
                prediction.label if prediction.known else "",
                *(f"{p:.4f}" for p in prediction.probabilities.tolist()),
                *(f"{prediction.measures[name]:.4f}" for name in self._measures),
                str(int(prediction.face)),
                str(int(prediction.sound)),
                *sides,
                *(str(int(flag)) for flag in prediction.flags.values()),
            ]
        )


def csv_line(cells: list[str]) -> str:
    """A line of comma-separated values, quoted where needed."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue()
