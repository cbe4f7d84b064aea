"""Rows as columns: what data frames are made from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.csv_format import BOX_COLUMNS


def table(rows: Iterable[Prediction]) -> dict[str, NDArray[Any]]:
    """Columns of rows, as ``pandas.DataFrame``, ``polars.DataFrame`` and ``pyarrow.table`` take them.

    Args:
        rows: Predictions of one input, such as ``recognizer.stream("talk.mp4")``.

    Returns:
        By name, each of length ``N``: ``frame`` int64, ``time_seconds`` float64, ``label`` text (empty where
        neither a face was seen nor sound was heard), one float32 column a class and a measure (``valence``,
        ``AU01`` ...; most bundles have none), ``face`` and ``sound`` bool,
        ``box_left``, ``box_top``, ``box_width``, ``box_height`` float32 in pixels (NaN without a face). With
        persons told apart, ``person`` int64 comes after ``time_seconds``; where frames may be left out,
        ``interpolated`` bool comes last.
    """
    given = list(rows)
    first = given[0] if given else None
    return columns_of(given, first.labels if first else (), tuple(first.measures) if first else ())


def columns_of(
    given: Sequence[Prediction], labels: tuple[str, ...], measures: tuple[str, ...] = ()
) -> dict[str, NDArray[Any]]:
    """Columns as of ``table``, with these classes.

    Args:
        given: Rows of one input, any number.
        labels: Class names in the order of the probabilities.
        measures: Names of what the rows tell beside the classes.
    """
    scores = np.array([row.probabilities for row in given], np.float32).reshape(len(given), len(labels))
    boxes = np.array([_sides(row) for row in given], np.float32).reshape(len(given), 4)
    columns: dict[str, NDArray[Any]] = {
        "frame": np.array([row.index for row in given], np.int64),
        "time_seconds": np.array([row.time_seconds for row in given], np.float64),
    }
    if any(row.person is not None for row in given):
        columns["person"] = np.array([row.person or 0 for row in given], np.int64)
    columns["label"] = np.array([row.label if row.known else "" for row in given], np.str_)
    columns.update({label: scores[:, index] for index, label in enumerate(labels)})
    columns.update({name: np.array([row.measures[name] for row in given], np.float32) for name in measures})
    columns["face"] = np.array([row.face for row in given], np.bool_)
    columns["sound"] = np.array([row.sound for row in given], np.bool_)
    columns.update({name: boxes[:, index] for index, name in enumerate(BOX_COLUMNS)})
    if any(row.flags for row in given):
        columns["interpolated"] = np.array([bool(row.interpolated) for row in given], np.bool_)
    return columns


def _sides(row: Prediction) -> tuple[float, float, float, float]:
    box = row.box
    return (np.nan,) * 4 if box is None else (box.left, box.top, box.width, box.height)
