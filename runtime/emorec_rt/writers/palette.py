"""One colour a class, the same in every picture, told apart by colour-blind viewers too.

Okabe and Ito, "Color Universal Design" (2008), with greys in place of black for the two classes that are
no emotion of their own.
"""

from __future__ import annotations

from typing import Final

Colour = tuple[int, int, int]
"""Red, green, blue in [0, 255]."""

GREY: Final[Colour] = (187, 187, 187)
_ORANGE: Final[Colour] = (230, 159, 0)
_SKY: Final[Colour] = (86, 180, 233)
_GREEN: Final[Colour] = (0, 158, 115)
_YELLOW: Final[Colour] = (240, 228, 66)
_BLUE: Final[Colour] = (0, 114, 178)
_VERMILION: Final[Colour] = (213, 94, 0)
_PURPLE: Final[Colour] = (204, 121, 167)
_DARK: Final[Colour] = (102, 102, 102)

_BY_NAME: Final[dict[str, Colour]] = {
    "neutral": GREY,
    "anger": _VERMILION,
    "disgust": _GREEN,
    "fear": _PURPLE,
    "happiness": _YELLOW,
    "sadness": _BLUE,
    "surprise": _SKY,
    "contempt": _ORANGE,
    "other": _DARK,
}
_CYCLE: Final = (_ORANGE, _SKY, _GREEN, _YELLOW, _BLUE, _VERMILION, _PURPLE, GREY, _DARK)


def colours(labels: tuple[str, ...]) -> tuple[Colour, ...]:
    """A colour for each label: by its name if it is an expression, else one that is not taken yet."""
    named = [_BY_NAME.get(label.lower()) for label in labels]
    free = [colour for colour in _CYCLE if colour not in named] or list(_CYCLE)
    unnamed = iter(range(len(labels)))
    return tuple(free[next(unnamed) % len(free)] if colour is None else colour for colour in named)


def ink_on(colour: Colour) -> Colour:
    """Black or white, whichever reads better on ``colour`` (ITU-R BT.601 luma)."""
    red, green, blue = colour
    return (0, 0, 0) if 0.299 * red + 0.587 * green + 0.114 * blue > 140 else (255, 255, 255)
