"""Aff-Wild2's annotations of valence and arousal and of action units, beside those of expressions.

<root>/**/VA_Estimation_Challenge/{Train_Set,Validation_Set}/<sequence>.txt   valence,arousal; -5 is missing
<root>/**/AU_Detection_Challenge/{Train_Set,Validation_Set}/<sequence>.txt    AU1,AU2,...; -1 is missing
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.tasks import ACTION_UNITS, MEASURES, VALENCE_AROUSAL
from emorec_train.data.datasets.affwild2_files import AnnotationError
from emorec_train.data.labels import no_measures

Track = Literal["VA", "AU"]
TRACKS: Final[tuple[Track, ...]] = ("VA", "AU")

MISSING: Final[dict[Track, float]] = {"VA": -5.0, "AU": -1.0}
"""Value of a frame without a label."""

_UNIT: Final = re.compile(r"AU_?0*(\d{1,2})", re.IGNORECASE)


def read_measures(path: Path, track: Track) -> NDArray[np.float32]:
    """Measures of an annotation file.

    Returns:
        float32 ``[F, M]`` in the order of ``MEASURES`` for the frames 1 to F; NaN where the file says that
        one is missing, and in the columns of the other track.

    Raises:
        AnnotationError: The header, a line or a value isn't what it should be.
        OSError: It can't be read.
    """
    lines = path.read_text(encoding="utf-8-sig", errors="replace").rstrip().splitlines()
    columns = _columns(lines[0] if lines else "", track)
    values = _numbers(lines[1:], len(columns))
    missing = values == MISSING[track]
    _check_range(values, missing, track)
    measures = no_measures(len(values))
    measures[:, columns] = np.where(missing, np.nan, values)
    return measures


def joined(tracks: Sequence[NDArray[np.float32]]) -> NDArray[np.float32] | None:
    """The measures of several tracks of one sequence as one table; the longest sets its length."""
    if not tracks:
        return None
    measures = no_measures(max(map(len, tracks)))
    for own in tracks:
        part = measures[: len(own)]
        part[:] = np.where(np.isnan(part), own, part)
    return measures


def _columns(header: str, track: Track) -> list[int]:
    """Place among ``MEASURES`` of each column of the file, by the names in the header."""
    known = VALENCE_AROUSAL if track == "VA" else ACTION_UNITS
    names = [_name(cell) for cell in header.split(",")]
    if len(set(names)) < len(names) or not set(names) <= set(known):
        raise AnnotationError(f"line 1 is not a header of {', '.join(known)}: {header[:80]!r}")
    return [MEASURES.index(name) for name in names]


def _name(cell: str) -> str:
    unit = _UNIT.fullmatch(cell.strip())
    return f"AU{int(unit[1]):02d}" if unit else cell.strip().lower()


def _numbers(lines: Sequence[str], columns: int) -> NDArray[np.float64]:
    """The values of all lines, ``[F, K]``."""
    if not lines:
        raise AnnotationError("has no labels")
    try:
        values = np.array([line.split(",") for line in lines], np.float64)
    except ValueError:
        values = np.zeros((0, 0))
    if values.shape != (len(lines), columns):
        number = next(number for number, line in enumerate(lines, 2) if not _is_row(line, columns))
        raise AnnotationError(f"line {number} has not {columns} numbers: {lines[number - 2][:40]!r}")
    return values


def _is_row(line: str, columns: int) -> bool:
    cells = line.split(",")
    try:
        return len(cells) == columns and bool([float(cell) for cell in cells])
    except ValueError:
        return False


def _check_range(values: NDArray[np.float64], missing: NDArray[np.bool_], track: Track) -> None:
    fits = np.abs(values) <= 1.0 if track == "VA" else np.isin(values, (0.0, 1.0))
    wrong = np.flatnonzero(~(fits | missing).all(axis=1))
    if len(wrong):
        wanted = "-1 to 1, or -5" if track == "VA" else "0, 1 or -1"
        raise AnnotationError(f"line {wrong[0] + 2}: a value is not {wanted} ({len(wrong)} such lines)")
