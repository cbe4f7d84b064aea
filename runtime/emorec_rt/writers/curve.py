"""Rows of any number, thinned to what a plot of a given width can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emorec_rt.writers.row_buffer import RowArray, RowBuffer
from emorec_rt.writers.segments import FrameClock


@dataclass(frozen=True, slots=True)
class Curve:
    """``N`` neighbouring stretches of time, from ``edges[n]`` to ``edges[n + 1]``.

    Attributes:
        edges: float64 ``[N + 1]``, seconds.
        probabilities: float64 ``[N, C]``, means.
        labels: int64 ``[N]``, the most frequent label; -1 where no frame has a face or sound.
        face: float64 ``[N]``, share of the frames with a face.
        sound: float64 ``[N]``, share of the frames with sound.
        shares: float64 ``[C]``, share of each label among the frames that have a face or sound.
        measures: float64 ``[N]`` by name, means of what the rows tell beside the classes.
    """

    edges: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    labels: NDArray[np.int64]
    face: NDArray[np.float64]
    sound: NDArray[np.float64]
    shares: NDArray[np.float64]
    measures: Mapping[str, NDArray[np.float64]]

    @property
    def middles(self) -> NDArray[np.float64]:
        """float64 ``[N]``, seconds."""
        return (self.edges[1:] + self.edges[:-1]) / 2


class Extent:
    """Start and end of the rows."""

    def __init__(self) -> None:
        self._clock = FrameClock()
        self._start_seconds: float | None = None

    def add(self, time_seconds: float) -> None:
        """Take a row's time."""
        if self._start_seconds is None:
            self._start_seconds = time_seconds
        self._clock.tick(time_seconds)

    @property
    def start_seconds(self) -> float:
        """Start of the first row; 0 without any."""
        return self._start_seconds or 0.0

    @property
    def end_seconds(self) -> float:
        """End of the last row."""
        return self._clock.end_seconds


def curve(rows: RowBuffer, extent: Extent, columns: int) -> Curve:
    """Thin ``rows`` to at most ``columns`` stretches; a row lasts until the next one.

    Few rows stay as they are; of more, each column of the plot has the mean. A column that no row begins in
    repeats the one before it.

    Args:
        rows: At least one row, in order.
        extent: Their times.
        columns: Width of the plot.
    """
    few = rows.count <= columns
    sums = _Sums(rows.count if few else columns, rows)
    start, length = extent.start_seconds, extent.end_seconds - extent.start_seconds
    times: list[NDArray[np.float64]] = []
    done = 0
    for chunk in rows.chunks():
        if few:
            times.append(chunk["time"])
            place = np.arange(done, done + len(chunk))
        else:
            place = ((chunk["time"] - start) / length * columns).astype(np.int64)
        sums.add(np.clip(place, 0, sums.columns - 1), chunk)
        done += len(chunk)
    edges = np.append(np.concatenate(times), extent.end_seconds) if few else start + _steps(length, columns)
    return sums.curve(edges)


def _steps(length: float, columns: int) -> NDArray[np.float64]:
    return np.linspace(0.0, length, columns + 1)


class _Sums:
    def __init__(self, columns: int, rows: RowBuffer) -> None:
        self.columns = columns
        self._names = rows.measures
        self._measures = np.zeros((columns, len(rows.measures)))
        classes = len(rows.labels)
        self._probabilities = np.zeros((columns, classes))
        self._labels = np.zeros((columns, classes), np.int64)
        self._counts = np.zeros(columns, np.int64)
        self._face = np.zeros(columns)
        self._sound = np.zeros(columns)

    def add(self, columns: NDArray[np.int64], chunk: RowArray) -> None:
        np.add.at(self._probabilities, columns, chunk["probabilities"])
        known = chunk["face"] | chunk["sound"]
        np.add.at(self._labels, (columns[known], chunk["label"][known]), 1)
        np.add.at(self._counts, columns, 1)
        np.add.at(self._face, columns, chunk["face"])
        np.add.at(self._sound, columns, chunk["sound"])
        np.add.at(self._measures, columns, chunk["measures"])

    def curve(self, edges: NDArray[np.float64]) -> Curve:
        filled = np.maximum.accumulate(np.where(self._counts > 0, np.arange(len(self._counts)), 0))
        counts = np.maximum(self._counts[filled], 1)
        measures = self._measures[filled] / counts[:, None]
        return Curve(
            edges,
            self._probabilities[filled] / counts[:, None],
            np.where(self._labels[filled].any(axis=1), self._labels[filled].argmax(axis=1), -1),
            self._face[filled] / counts,
            self._sound[filled] / counts,
            self._labels.sum(axis=0) / max(self._labels.sum(), 1),
            dict(zip(self._names, measures.T, strict=True)),
        )
