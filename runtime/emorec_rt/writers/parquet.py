"""``parquet``: the table of rows in columns, for data frames; needs pyarrow."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from emorec_rt.errors import OutputError
from emorec_rt.files import WholeFile
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target
from emorec_rt.writers.columns import columns_of
from emorec_rt.writers.csv_format import BOX_COLUMNS
from emorec_rt.writers.every import Every

GROUP_ROWS: Final = 16_384
"""Rows that are held and compressed together."""


class ParquetWriter:
    """Write rows in groups; memory doesn't grow with their number.

    Args:
        target: What to write.

    Raises:
        OutputError: The library is missing, or the file can't be written.
    """

    def __init__(self, target: Target) -> None:
        try:
            import pyarrow.parquet
        except ImportError as error:
            missing = "needs pyarrow, which is not installed; run: pip install 'emorec[parquet]'"
            raise OutputError(target.path, missing) from error
        self._library: Any = pyarrow
        self._target = target
        seconds = target.options.every_seconds
        self._every = None if seconds is None else Every(seconds)
        self._rows: list[Prediction] = []
        self._out: Any = None
        self._file = WholeFile(target.path)

    def go_live(self) -> None:
        """Nothing to show before the end."""

    def write(self, prediction: Prediction) -> None:
        """Take the next row."""
        self._rows.extend([prediction] if self._every is None else self._every.add(prediction))
        if len(self._rows) >= GROUP_ROWS:
            self._write_group()

    def commit(self) -> None:
        """Write the last rows, and make the file appear."""
        if self._every is not None:
            self._rows.extend(self._every.finish())
        self._write_group()
        with self._explained():
            self._out.close()
        self._file.commit()

    def discard(self) -> None:
        """Leave nothing."""
        if self._out is not None:
            with contextlib.suppress(OSError):  # the disk is full, and what was held is unwanted
                self._out.close()
        self._file.discard()

    def _write_group(self) -> None:
        with self._explained():
            if self._out is None:
                create = self._library.parquet.ParquetWriter
                self._out = create(self._file.part, self._schema(), compression="zstd")
            columns = columns_of(self._rows, self._target.labels, self._target.measures)
            arrays = [_array(self._library, field, columns) for field in self._out.schema]
            self._out.write_table(self._library.Table.from_arrays(arrays, schema=self._out.schema))
        self._rows.clear()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise OutputError(self._target.path, f"can't be written ({reason})") from error

    def _schema(self) -> Any:
        pa = self._library
        told_apart = any(row.person is not None for row in self._rows)
        fields = {
            "frame": pa.int64(),
            "time_seconds": pa.float64(),
            **({"person": pa.int64()} if told_apart else {}),
            "label": pa.string(),
            **dict.fromkeys((*self._target.labels, *self._target.measures), pa.float32()),
            "face": pa.bool_(),
            "sound": pa.bool_(),
            **dict.fromkeys(BOX_COLUMNS, pa.float32()),
            **({"interpolated": pa.bool_()} if any(row.flags for row in self._rows) else {}),
        }
        about = {"video": self._target.video, "notice": self._target.notice}
        return pa.schema(list(fields.items()), metadata=about)


def _array(library: Any, field: Any, columns: dict[str, Any]) -> Any:
    return library.array(columns[field.name], type=field.type, mask=_missing(field.name, columns))


def _missing(name: str, columns: dict[str, Any]) -> Any:
    """Cells that have no value: the label of a row that asserts nothing, the box where no face is."""
    if name == "label":
        return columns["label"] == ""
    return np.isnan(columns[name]) if name in BOX_COLUMNS else None
