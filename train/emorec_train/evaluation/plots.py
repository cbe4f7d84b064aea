"""Pictures of results: the confusion matrix, and the ablation's bars. Drawn without a display."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from emorec_rt.files import write_whole

DPI = 120


def plot_confusion(matrix: NDArray[np.int64], labels: Sequence[str], title: str, path: Path) -> None:
    """Draw a confusion matrix, each row as shares of its class, with the counts in the cells.

    Args:
        matrix: int64 ``[C, C]``, truth by prediction.
        labels: ``C`` names.
        title: Above it.
        path: A PNG.

    Raises:
        OutputError: It can't be written.
    """
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    side = 2.0 + 0.8 * len(labels)
    figure = Figure(figsize=(side + 0.8, side), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0.0, vmax=1.0)
    axes.set_xticks(range(len(labels)), labels, rotation=45, ha="right")
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="predicted", ylabel="truth", title=title)
    for (row, column), count in np.ndenumerate(matrix):
        colour = "white" if shares[row, column] > 0.5 else "black"
        axes.text(column, row, f"{count}", ha="center", va="center", color=colour, fontsize=8)
    figure.colorbar(image, ax=axes, label="share of the class")
    _save(figure, path)


def plot_bars(rows: Mapping[str, tuple[float, float, Sequence[float]]], title: str, path: Path) -> None:
    """Draw a bar for each row, its spread, and a dot for each seed.

    Args:
        rows: By name: mean, standard deviation, the values.
        title: Above it.
        path: A PNG.

    Raises:
        OutputError: It can't be written.
    """
    figure = Figure(figsize=(8.0, 1.2 + 0.45 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    places = np.arange(len(rows))
    means, spreads = [row[0] for row in rows.values()], [row[1] for row in rows.values()]
    axes.barh(places, means, xerr=spreads, color="#9ecae1", capsize=3)
    for place, (_, _, values) in zip(places, rows.values(), strict=True):
        axes.plot(values, np.full(len(values), place), "o", color="#08519c", markersize=3)
    axes.set_yticks(places, list(rows))
    axes.invert_yaxis()
    axes.set(xlabel="macro F1", title=title, xlim=(0.0, 1.0))
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI)
    write_whole(path, buffer.getvalue())
