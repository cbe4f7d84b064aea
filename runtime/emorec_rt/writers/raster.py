"""A drawing as a PNG, drawn by OpenCV."""

from __future__ import annotations

from functools import singledispatch
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.writers.lettering import draw_text, text_width
from emorec_rt.writers.shapes import Drawing, Line, Polygon, Rectangle, Shape, Text

PIXELS_PER_POINT: Final = 2
_OVERSAMPLING: Final = 2
_SHIFT: Final = 4  # OpenCV's fixed-point places: 1/16 pixel

Pixels = NDArray[np.uint8]


def to_png(drawing: Drawing) -> bytes:
    """The encoded picture, ``PIXELS_PER_POINT`` times the drawing's size."""
    scale = PIXELS_PER_POINT * _OVERSAMPLING
    large = np.full((round(drawing.height * scale), round(drawing.width * scale), 3), 255, np.uint8)
    for shape in drawing.shapes:
        _draw(shape, large, scale)
    size = (round(drawing.width * PIXELS_PER_POINT), round(drawing.height * PIXELS_PER_POINT))
    small = cv2.resize(large, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".png", cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
    return bytes(encoded.tobytes())


@singledispatch
def _draw(shape: Shape, pixels: Pixels, scale: float) -> None:  # noqa: ARG001 - the signature of all
    raise TypeError(f"can't draw {shape!r}")


@_draw.register
def _(shape: Rectangle, pixels: Pixels, scale: float) -> None:
    rows = slice(round(shape.top * scale), round((shape.top + shape.height) * scale))
    columns = slice(round(shape.left * scale), round((shape.left + shape.width) * scale))
    area = pixels[rows, columns]
    blended = area * np.float32(1 - shape.opacity) + np.float32(shape.opacity) * np.array(
        shape.fill, np.float32
    )
    area[:] = np.rint(blended).astype(np.uint8)


@_draw.register
def _(shape: Polygon, pixels: Pixels, scale: float) -> None:
    # A pixel's middle is at whole numbers for OpenCV, and at halves for the drawing.
    points = np.rint((shape.points * scale - 0.5) * 2**_SHIFT).astype(np.int32)
    cv2.fillPoly(pixels, [points], shape.fill, lineType=cv2.LINE_AA, shift=_SHIFT)


@_draw.register
def _(shape: Line, pixels: Pixels, scale: float) -> None:
    width = max(round(shape.width * scale), 1)
    start, end = (_fixed(point, scale) for point in (shape.start, shape.end))
    cv2.line(pixels, start, end, shape.colour, thickness=width, lineType=cv2.LINE_AA, shift=_SHIFT)


def _fixed(point: tuple[float, float], scale: float) -> tuple[int, int]:
    x, y = (round((value * scale - 0.5) * 2**_SHIFT) for value in point)
    return x, y


@_draw.register
def _(shape: Text, pixels: Pixels, scale: float) -> None:
    size = shape.size * scale
    before = {"start": 0.0, "middle": 0.5, "end": 1.0}[shape.anchor] * text_width(shape.text, size)
    draw_text(pixels, shape.text, shape.left * scale - before, shape.baseline * scale, size, shape.colour)
