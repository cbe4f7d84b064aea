"""Pictures made smaller."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray


def shrunk(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Scale a picture down: halved while it is twice too large or more, then bilinear.

    ``cv2.resize`` averages whole areas itself, at ten times the time unless the ratio is a whole number.

    Args:
        pixels: uint8 ``[H, W, 3]``.
        width: Of the result in pixels, at most ``W``.
        height: Of the result in pixels, at most ``H``.

    Returns:
        uint8 ``[height, width, 3]``.
    """
    while pixels.shape[0] >= 2 * height and pixels.shape[1] >= 2 * width:
        half_height, half_width = pixels.shape[0] // 2, pixels.shape[1] // 2
        even = pixels[: 2 * half_height, : 2 * half_width]
        pixels = np.asarray(
            cv2.resize(even, (half_width, half_height), interpolation=cv2.INTER_AREA), np.uint8
        )
    return np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
