"""Text on pictures with OpenCV's own strokes: no font file is needed."""

from __future__ import annotations

import unicodedata
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.writers.palette import Colour

_FONT: Final = cv2.FONT_HERSHEY_DUPLEX
_CAP_PIXELS: Final = 21.0
"""Height of a capital of the font at scale 1."""

CAP_SHARE: Final = 0.70
"""Height of a capital as a share of the text's size, as in common fonts."""


def ascii_text(text: str) -> str:
    """The nearest text that the strokes can draw: accents dropped, the unknown as a question mark."""
    plain = unicodedata.normalize("NFKD", text)
    kept = "".join(letter for letter in plain if not unicodedata.combining(letter))
    return kept.encode("ascii", "replace").decode("ascii")


def text_width(text: str, size: float) -> float:
    """Width in pixels of ``text`` at ``size`` pixels."""
    (width, _), _ = cv2.getTextSize(ascii_text(text), _FONT, _scale(size), _thickness(size))
    return float(width)


def wrapped(text: str, width: float, size: float) -> list[str]:
    """Lines of whole words that fit into ``width`` pixels, at ``size`` pixels; a longer word stands alone."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def draw_text(
    pixels: NDArray[np.uint8], text: str, left: float, baseline: float, size: float, colour: Colour
) -> None:
    """Draw ``text`` of ``size`` pixels into ``pixels``, uint8 ``[H, W, 3]``; what reaches outside is cut."""
    place = (round(left), round(baseline))
    cv2.putText(
        pixels, ascii_text(text), place, _FONT, _scale(size), colour, _thickness(size), lineType=cv2.LINE_AA
    )


def _scale(size: float) -> float:
    return size * CAP_SHARE / _CAP_PIXELS


def _thickness(size: float) -> int:
    return max(round(size / 20), 1)
