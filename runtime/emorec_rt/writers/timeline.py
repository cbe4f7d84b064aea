"""``png`` and ``svg``: the probabilities over time, stacked, with the label, face and sound below."""

from __future__ import annotations

from collections.abc import Callable

from emorec_rt.errors import OutputError
from emorec_rt.files import WholeFile
from emorec_rt.media.sources import masked
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target
from emorec_rt.writers.curve import Extent, curve
from emorec_rt.writers.plot import PLOT_COLUMNS, plot
from emorec_rt.writers.raster import to_png
from emorec_rt.writers.row_buffer import RowBuffer
from emorec_rt.writers.shapes import Drawing
from emorec_rt.writers.source import start_seconds
from emorec_rt.writers.svg import to_svg


class TimelineWriter:
    """Keeps rows, and plots them when they are complete; hours are thinned to the plot's width.

    Args:
        target: What to write.
        encode: Turns the drawing into the file's content.
    """

    def __init__(self, target: Target, encode: Callable[[Drawing], str | bytes]) -> None:
        self._target = target
        self._encode = encode
        self._file = WholeFile(target.path)
        self._rows = RowBuffer(target.labels, target.measures)
        self._extent = Extent()
        self._start_seconds = start_seconds(target.source)

    def go_live(self) -> None:
        """Nothing to show before the end."""

    def write(self, prediction: Prediction) -> None:
        """Keep the next row."""
        self._extent.add(prediction.time_seconds)
        self._rows.append(prediction)

    def commit(self) -> None:
        """Plot the rows, and make the file appear."""
        if not self._rows.count:
            raise OutputError(self._target.path, f"{masked(self._target.source)} gave no rows to plot")
        thinned = curve(self._rows, self._extent, PLOT_COLUMNS)
        drawing = plot(
            thinned, self._target.labels, self._target.video, self._start_seconds, self._target.notice
        )
        self._file.write(self._encode(drawing))
        self._file.commit()
        self._rows.close()

    def discard(self) -> None:
        """Leave nothing."""
        self._file.discard()
        self._rows.close()


def svg_writer(target: Target) -> TimelineWriter:
    """A timeline as SVG."""
    return TimelineWriter(target, to_svg)


def png_writer(target: Target) -> TimelineWriter:
    """A timeline as PNG."""
    return TimelineWriter(target, to_png)
