"""Rows kept for a second look: compact, in memory while few, in a temporary file after that."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import OutputError
from emorec_rt.faces import Box
from emorec_rt.windows.prediction import Prediction

IN_MEMORY_BYTES: Final = 8 << 20
CHUNK_ROWS: Final = 16_384

RowArray = NDArray[np.void]
"""Rows as a structured array: ``index``, ``time``, ``label``, ``probabilities [C]``, ``face``, ``sound``,
``box [4]`` (left, top, width, height in pixels; NaN without a face), ``person`` (0 where nobody is told),
``measures [M]``."""


class RowBuffer:
    """Append rows, then read them back any number of times; memory doesn't grow with their number.

    Args:
        labels: Class names in the order of the probabilities.
        measures: Names of what is kept beside the classes.
    """

    def __init__(self, labels: tuple[str, ...], measures: tuple[str, ...] = ()) -> None:
        self.labels = labels
        self.measures = measures
        self._position = {label: index for index, label in enumerate(labels)}
        self._dtype = np.dtype(
            [
                ("index", np.int64),
                ("time", np.float64),
                ("label", np.uint16),
                ("probabilities", np.float32, (len(labels),)),
                ("face", np.bool_),
                ("sound", np.bool_),
                ("box", np.float32, (4,)),
                ("person", np.uint32),
                ("measures", np.float32, (len(measures),)),
            ]
        )
        self._row: NDArray[Any] = np.zeros(1, self._dtype)
        # The file has no name from the start, so nothing is left however the process ends.
        self._file = tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_BYTES)  # noqa: SIM115
        self.count = 0

    def append(self, prediction: Prediction) -> None:
        """Keep a row.

        Raises:
            OutputError: The disk of the temporary folder is full.
        """
        box = prediction.box
        sides = (math.nan,) * 4 if box is None else (box.left, box.top, box.width, box.height)
        self._row[0] = (
            prediction.index,
            prediction.time_seconds,
            self._position[prediction.label],
            prediction.probabilities,
            prediction.face,
            prediction.sound,
            sides,
            prediction.person or 0,
            [prediction.measures[name] for name in self.measures],
        )
        try:
            self._file.write(self._row.tobytes())
        except OSError as error:
            raise OutputError(tempfile.gettempdir(), f"no room for rows ({error.strerror})") from error
        self.count += 1

    def chunks(self) -> Iterator[RowArray]:
        """All rows so far, up to ``CHUNK_ROWS`` at a time."""
        self._file.seek(0)
        while data := self._file.read(CHUNK_ROWS * self._dtype.itemsize):
            yield np.frombuffer(data, self._dtype)

    def rows(self) -> Iterator[Prediction]:
        """All rows so far."""
        for chunk in self.chunks():
            for row in chunk:
                yield self._prediction(row)

    def close(self) -> None:
        """Forget the rows."""
        self._file.close()

    def _prediction(self, row: Any) -> Prediction:
        box = None if np.isnan(row["box"][0]) else Box(*row["box"].tolist())
        return Prediction(
            int(row["index"]),
            float(row["time"]),
            self.labels[int(row["label"])],
            row["probabilities"],
            bool(row["face"]),
            bool(row["sound"]),
            box,
            self.labels,
            int(row["person"]) or None,
            measures=dict(zip(self.measures, row["measures"].tolist(), strict=True)),
        )
