"""Turn a picture upright as its display matrix says."""

from __future__ import annotations

import struct
from typing import Final, cast

import numpy as np
from av.sidedata.sidedata import SideData
from av.video.frame import VideoFrame
from numpy.typing import NDArray

IDENTITY: Final = (1, 0, 0, 1)
_MATRIX_BYTES: Final = 36

DisplayMatrix = tuple[int, int, int, int]
"""``(a, b, c, d)``: a stored point ``(x, y)`` is shown at ``(a*x + c*y, b*x + d*y)``, y downwards."""


class Orientation:
    """The display matrix of a stream's pictures, read where it may have changed.

    PyAV ties a frame and its side data to each other: a picture whose side data was looked at stays in memory
    until Python's cycle collector comes by, hundreds of pictures later. So it is looked at in the first
    picture, and again when the turn, which is told without, is another. Only a picture that gets mirrored
    upside down in the middle of a stream escapes that.
    """

    def __init__(self) -> None:
        self._degrees: float | None = None
        self._matrix = IDENTITY

    def matrix(self, frame: VideoFrame) -> DisplayMatrix:
        """The display matrix of the stream's next frame."""
        if frame.rotation != self._degrees:
            self._degrees, self._matrix = frame.rotation, display_matrix(frame)
        return self._matrix


def display_matrix(frame: VideoFrame) -> DisplayMatrix:
    """Read the linear part of a frame's display matrix (ISO/IEC 14496-12, tkhd), identity without one."""
    try:
        data = cast("SideData | None", frame.side_data.get("DISPLAYMATRIX"))
    except ValueError:  # PyAV lists none of a frame's side data where it doesn't know one, such as EXIF
        return _turned(frame.rotation)
    if data is None or data.buffer_size < _MATRIX_BYTES:
        return IDENTITY
    a, b, _u, c, d, _v, _x, _y, _w = struct.unpack("=9i", bytes(data)[:_MATRIX_BYTES])
    return a, b, c, d


def _turned(degrees: float) -> DisplayMatrix:
    """The matrix of a counterclockwise turn, to the nearest quarter."""
    return ((1, 0, 0, 1), (0, -1, 1, 0), (-1, 0, 0, -1), (0, 1, -1, 0))[round(degrees / 90) % 4]


def upright(pixels: NDArray[np.uint8], matrix: DisplayMatrix) -> NDArray[np.uint8]:
    """Rotate by quarter turns and mirror ``pixels`` (``[H, W, C]``) into the nearest upright position.

    Angles between quarter turns go to the nearest one: cameras don't write others.
    """
    a, b, c, d = matrix
    swapped = abs(b) + abs(c) > abs(a) + abs(d)
    if swapped:
        pixels = pixels.swapaxes(0, 1)
        a, d = c, b
    if a < 0:
        pixels = pixels[:, ::-1]
    if d < 0:
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
