"""Identity of a face: proportions, colours, hair, beard, glasses and age, all drawn at once.

Lengths are in face units: the head is about two units high, its middle is (0, 0), x points to the picture's
right and y down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

Colour = tuple[float, float, float]
"""RGB, each 0 to 255."""

HairStyle = Literal["bald", "short", "fringe", "long", "bun"]
BeardStyle = Literal["none", "stubble", "full", "moustache"]

_SKIN_TONES: Final[tuple[Colour, ...]] = (
    (250, 222, 200),
    (240, 200, 172),
    (226, 178, 143),
    (202, 150, 112),
    (168, 116, 82),
    (126, 84, 60),
    (92, 62, 46),
)
_HAIR_COLOURS: Final[tuple[Colour, ...]] = (
    (28, 24, 24),
    (58, 40, 30),
    (104, 70, 44),
    (166, 120, 66),
    (214, 180, 120),
    (140, 62, 32),
    (176, 174, 172),
)
_IRIS_COLOURS: Final[tuple[Colour, ...]] = (
    (66, 42, 28),
    (88, 60, 34),
    (84, 110, 70),
    (86, 124, 160),
    (110, 118, 124),
)


@dataclass(frozen=True, slots=True)
class Identity:
    """One person's face. Lengths in face units, colours RGB, ``age`` 0 (smooth) to 1 (lined)."""

    skin: Colour
    lips: Colour
    iris: Colour
    hair: Colour
    brows: Colour
    hair_style: HairStyle
    beard: BeardStyle
    beard_colour: Colour
    glasses: bool
    glasses_round: bool
    glasses_colour: Colour
    age: float
    half_width: float
    jaw_width: float
    eye_x: float
    eye_y: float
    eye_half_width: float
    eye_half_height: float
    eye_slant: float
    brow_y: float
    brow_thickness: float
    brow_arch: float
    nose_y: float
    nose_half_width: float
    mouth_y: float
    mouth_half_width: float
    upper_lip: float
    lower_lip: float
    hairline_y: float


def draw_identity(rng: np.random.Generator) -> Identity:
    """A person at random; the ranges are wide, and some draws are exaggerated on purpose."""
    skin = _mix(rng, _SKIN_TONES)
    hair = _draw_hair_colour(rng, skin)
    brows = _scaled(hair, rng.uniform(0.55, 0.85))
    bearded = rng.uniform() < 0.3
    beard = _draw_beard(rng) if bearded else "none"
    return Identity(
        skin=skin,
        lips=_lip_colour(rng, skin),
        iris=_vary(rng, _IRIS_COLOURS[int(rng.integers(len(_IRIS_COLOURS)))], 10),
        hair=hair,
        brows=brows,
        hair_style=_draw_hair_style(rng, bearded),
        beard=beard,
        beard_colour=_draw_beard_colour(rng, beard, skin, brows),
        glasses=bool(rng.uniform() < 0.2),
        glasses_round=bool(rng.uniform() < 0.5),
        glasses_colour=_vary(rng, (70.0, 62.0, 60.0), 60),
        age=float(rng.uniform() ** 1.5),
        half_width=rng.uniform(0.7, 0.8),
        jaw_width=rng.uniform(0.8, 1.0),
        eye_x=rng.uniform(0.28, 0.325),
        eye_y=rng.uniform(-0.13, -0.07),
        eye_half_width=rng.uniform(0.12, 0.15),
        eye_half_height=rng.uniform(0.085, 0.108),
        eye_slant=rng.uniform(-0.05, 0.1),
        brow_y=rng.uniform(-0.34, -0.3),
        brow_thickness=rng.uniform(0.035, 0.075),
        brow_arch=rng.uniform(0.02, 0.06),
        nose_y=rng.uniform(0.2, 0.26),
        nose_half_width=rng.uniform(0.1, 0.145),
        mouth_y=rng.uniform(0.49, 0.54),
        mouth_half_width=rng.uniform(0.21, 0.27),
        upper_lip=rng.uniform(0.03, 0.06),
        lower_lip=rng.uniform(0.045, 0.08),
        hairline_y=rng.uniform(-0.72, -0.58),
    )


def _mix(rng: np.random.Generator, tones: tuple[Colour, ...]) -> Colour:
    place = rng.uniform(0, len(tones) - 1)
    index = int(place)
    low, high = np.array(tones[index]), np.array(tones[index + 1])
    return _vary(rng, _as_colour(low + (high - low) * (place - index)), 8)


def _draw_hair_colour(rng: np.random.Generator, skin: Colour) -> Colour:
    dark_only = skin[0] < 190 and rng.uniform() < 0.8
    choices = _HAIR_COLOURS[:2] if dark_only else _HAIR_COLOURS
    return _vary(rng, choices[int(rng.integers(len(choices)))], 14)


def _lip_colour(rng: np.random.Generator, skin: Colour) -> Colour:
    redness = rng.uniform(0.25, 0.6)
    return _as_colour((1 - redness) * np.array(skin) * 0.88 + redness * np.array((168.0, 62.0, 66.0)))


def _draw_hair_style(rng: np.random.Generator, bearded: bool) -> HairStyle:
    styles: tuple[HairStyle, ...] = ("bald", "short", "fringe", "long", "bun")
    weights = (0.2, 0.6, 0.15, 0.05, 0.0) if bearded else (0.06, 0.26, 0.22, 0.34, 0.12)
    return styles[int(rng.choice(len(styles), p=weights))]


def _draw_beard(rng: np.random.Generator) -> BeardStyle:
    styles: tuple[BeardStyle, ...] = ("stubble", "full", "moustache")
    return styles[int(rng.integers(len(styles)))]


def _draw_beard_colour(rng: np.random.Generator, beard: BeardStyle, skin: Colour, hair: Colour) -> Colour:
    cover = rng.uniform(0.15, 0.35) if beard == "stubble" else rng.uniform(0.75, 0.95)
    return _as_colour((1 - cover) * np.array(skin) + cover * np.array(hair))


def _vary(rng: np.random.Generator, colour: Colour, spread: float) -> Colour:
    return _as_colour(
        np.array(colour) + rng.uniform(-spread, spread) + rng.uniform(-spread / 3, spread / 3, 3)
    )


def _scaled(colour: Colour, factor: float) -> Colour:
    return _as_colour(np.array(colour) * factor)


def shadowed(skin: Colour) -> Colour:
    """Skin where little light gets to: ears' hollows, the neck below the chin."""
    return skin[0] * 0.72, skin[1] * 0.68, skin[2] * 0.66


def _as_colour(values: object) -> Colour:
    red, green, blue = np.clip(np.asarray(values, dtype=np.float64), 0.0, 255.0).tolist()
    return red, green, blue
