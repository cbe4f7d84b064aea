"""Drawing on a frame of the annotated video: face box, label, probability bars."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.faces import Box
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.lettering import CAP_SHARE, draw_text, text_width, wrapped
from emorec_rt.writers.palette import Colour, colours, ink_on

MIN_SHORT_SIDE: Final = 360
"""Pictures smaller than this are enlarged by a whole factor, so that text stays legible."""

MAX_ENLARGEMENT: Final = 8
_WHITE: Final = (255, 255, 255)
_AMBER: Final = (255, 200, 100)
_SOFT: Final = (170, 170, 170)
_TROUGH: Final = (50, 50, 50)
BACKGROUND: Final = 22
"""Grey level behind the bars."""

# In sizes of text.
_ROW: Final = 1.4
_FIGURE: Final = 4.8
_BAR_AND_FIGURE: Final = 8.6
_NOTICE: Final = 0.62
_LEAST_NOTICE_PIXELS: Final = 9.0

Pixels = NDArray[np.uint8]


def enlargement(height: int, width: int) -> int:
    """Whole factor by which a picture of this size is enlarged."""
    return min(-(-MIN_SHORT_SIDE // min(height, width)), MAX_ENLARGEMENT)


class Overlay:
    """Draws predictions: box and label on the picture, bars below it, where they hide nothing.

    Every size follows the picture's.

    Args:
        labels: Class names in the order of the probabilities.
        height: The picture's, in pixels.
        width: The picture's, in pixels.
        notice: What stands below the bars on every frame; may be empty.
    """

    def __init__(self, labels: tuple[str, ...], height: int, width: int, notice: str = "") -> None:
        self._labels = labels
        self._position = {label: index for index, label in enumerate(labels)}
        self._colours = colours(labels)
        self._size = min(height / 24, width / 28)
        self._panel = Panel.below(labels, width, self._size)
        self._notice_size = max(_NOTICE * self._size, _LEAST_NOTICE_PIXELS)
        self._notice = wrapped(notice, width - 1.5 * self._size, self._notice_size)
        lines = len(self._notice)
        self._notice_height = round((lines * _ROW + 0.4) * self._notice_size) if lines else 0

    @property
    def panel_height(self) -> int:
        """Height of the strip below the picture in pixels: bars, and the notice."""
        return self._panel.height + self._notice_height

    def mark(self, picture: Pixels, prediction: Prediction, scale: float) -> None:
        """Draw box and label into ``picture``, uint8 ``[H, W, 3]``, RGB.

        Args:
            picture: Changed in place.
            prediction: The frame's row.
            scale: Size of ``picture`` over that of the frame that the face box refers to.
        """
        if not prediction.known:
            return
        index = self._position[prediction.label]
        name = "" if prediction.person is None else f"{prediction.person}: "
        text, colour = f"{name}{prediction.label} {prediction.probabilities[index]:.2f}", self._colours[index]
        if prediction.box is None:
            _chip(picture, text, self._size, colour, left=self._size / 2, bottom=self._size * 2.1)
            return
        box = prediction.box.scaled(scale)
        _box(picture, box, self._size, colour)
        _chip(picture, text, self._size, colour, left=box.left, bottom=box.top)

    def fill(self, strip: Pixels, prediction: Prediction) -> None:
        """Draw bars and notice into ``strip``, uint8 ``[panel_height, W, 3]``, RGB.

        Where there is neither face nor sound, the bars stay empty: nothing is asserted.
        """
        if prediction.known:
            for index, label in enumerate(self._labels):
                probability = float(prediction.probabilities[index])
                self._panel.bar(strip, index, label, probability, self._colours[index])
        self._panel.note(strip, len(self._labels) if prediction.known else 0, notes(prediction))
        for row, line in enumerate(self._notice):
            base = self._panel.height + (_ROW * row + 0.8) * self._notice_size
            draw_text(strip, line, 0.75 * self._size, base, self._notice_size, _SOFT)


def notes(prediction: Prediction) -> str:
    """Name the parts that were missing from a prediction's input."""
    missing = [
        name for name, there in (("no face", prediction.face), ("no sound", prediction.sound)) if not there
    ]
    return ", ".join(missing)


@dataclass(frozen=True, slots=True)
class Panel:
    """A strip of cells, each with a name, a bar and a figure; the last one holds a note.

    Attributes:
        height: In pixels.
        columns: Cells in a row.
        cell: Width of a cell in pixels.
        names: Width of the longest name in pixels.
        size: Size of text in pixels.
    """

    height: int
    columns: int
    cell: float
    names: float
    size: float

    @classmethod
    def below(cls, labels: tuple[str, ...], width: int, size: float) -> Panel:
        """A panel as wide as the picture."""
        names = max(text_width(label, size) for label in labels)
        columns = max(int((width - size) / (names + _BAR_AND_FIGURE * size)), 1)
        rows = -(-(len(labels) + 1) // columns)
        return cls(round((_ROW * rows + 0.7) * size), columns, (width - size) / columns, names, size)

    def bar(self, strip: Pixels, index: int, label: str, probability: float, colour: Colour) -> None:
        """Draw one class."""
        left, base = self._place(index)
        draw_text(strip, label, left, base, self.size, _WHITE)
        bar = left + self.names + 0.6 * self.size
        full = self.cell - self.names - _FIGURE * self.size
        top, bottom = base - CAP_SHARE * self.size, base + 1
        _rectangle(strip, bar, top, bar + full, bottom, _TROUGH)
        if probability * full >= 0.5:
            _rectangle(strip, bar, top, bar + probability * full, bottom, colour)
        draw_text(strip, f"{probability:.2f}", bar + full + 0.5 * self.size, base, self.size, _WHITE)

    def note(self, strip: Pixels, index: int, text: str) -> None:
        """Write into a cell."""
        left, base = self._place(index)
        draw_text(strip, text, left, base, self.size, _AMBER)

    def _place(self, index: int) -> tuple[float, float]:
        row, column = index // self.columns, index % self.columns
        return self.size * 0.75 + column * self.cell, (_ROW * row + 1.25) * self.size


def _rectangle(pixels: Pixels, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
    corners = (round(left), round(top)), (round(right) - 1, round(bottom) - 1)
    cv2.rectangle(pixels, *corners, colour, thickness=cv2.FILLED)


def _box(pixels: Pixels, box: Box, size: float, colour: Colour) -> None:
    line = max(round(size / 7), 1)
    corners = (
        (round(box.left), round(box.top)),
        (round(box.left + box.width), round(box.top + box.height)),
    )
    # A dark rim keeps the box visible on a picture of its own colour.
    cv2.rectangle(pixels, *corners, (0, 0, 0), thickness=line + 2, lineType=cv2.LINE_AA)
    cv2.rectangle(pixels, *corners, colour, thickness=line, lineType=cv2.LINE_AA)


def _chip(pixels: Pixels, text: str, size: float, colour: Colour, *, left: float, bottom: float) -> None:
    width, height = text_width(text, size) + size, 1.6 * size
    left = min(max(left, 0), max(pixels.shape[1] - width, 0))
    bottom = min(max(bottom, height), pixels.shape[0])
    _rectangle(pixels, left, bottom - height, left + width, bottom, colour)
    baseline = bottom - (height - CAP_SHARE * size) / 2
    draw_text(pixels, text, left + size / 2, baseline, size, ink_on(colour))
