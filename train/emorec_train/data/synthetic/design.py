"""Signs of the eight classes: one table, made so that neither stream alone can be right.

Every class is a face, the face's motion over time, and a voice. Two classes that share an entry share its
whole distribution, so a model that sees only that stream cannot do better than guess between them:

=========  =======  =======  =========  ==================================================
class      face     motion   voice      what tells it from its nearest class
=========  =======  =======  =========  ==================================================
Neutral    rest     held     calm       the face, from Sadness
Sadness    sorrow   held     calm       the face, from Neutral
Anger      scowl    held     harsh      the voice, from Disgust
Disgust    scowl    held     creaky     the voice, from Anger
Fear       startle  held     trembling  the voice (over time: tremor), from Surprise
Surprise   startle  held     gliding    the voice (over time: rising glide), from Fear
Happiness  smile    held     lively     the face over time, from Other
Other      smile    pulsing  lively     the face over time, from Happiness
=========  =======  =======  =========  ==================================================

Ideal macro F1: 0.75 from the picture alone (two pairs are guessed: 4 classes at 0.5, 4 at 1), 0.75 from the
sound alone (two other pairs), 0.625 from single pictures (Happiness and Other too), 1.0 from both. The pairs
are those that people and models confuse: scowls and startles in faces (Jack et al. 2014), low arousal in
voices (Scherer 2003).

Faces are action units of FACS (EMFACS prototypes; what two classes share is what both prototypes hold). The
mouth follows the syllables, so voices that share a face share their syllable timing as well: lips give away
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from emorec_rt.constants import EXPRESSIONS

Range = tuple[float, float]
"""Lowest and highest value of a uniform draw."""

Motion = Literal["held", "pulsing"]

ACTION_UNITS: Final = (
    "inner_brow_raise",  # AU1
    "outer_brow_raise",  # AU2
    "brow_lower",  # AU4
    "upper_lid_raise",  # AU5
    "cheek_raise",  # AU6
    "lid_tighten",  # AU7
    "nose_wrinkle",  # AU9
    "upper_lip_raise",  # AU10
    "lip_corner_pull",  # AU12
    "lip_corner_depress",  # AU15
    "chin_raise",  # AU17
    "lip_pucker",  # AU18
    "lip_stretch",  # AU20
    "lip_press",  # AU24
    "jaw_drop",  # AU26
)
"""The face's controls; each runs from 0 (at rest) to about 1 (as strong as faces do)."""

MOTION_RATE_HZ: Final[dict[Motion, Range]] = {"held": (0.02, 0.08), "pulsing": (1.3, 2.1)}
"""Rate at which an expression's strength swings around its middle: the only sign that tells pulsing from
held."""


@dataclass(frozen=True, slots=True)
class FaceDesign:
    """One facial expression.

    Attributes:
        units: For each action unit that takes part, the range of its strength at the apex.
        level: Range of the expression's middle strength, a factor on all units.
        swing: Range of the amplitude around it.
    """

    units: dict[str, Range]
    level: Range = (0.72, 0.95)
    swing: Range = (0.03, 0.1)


@dataclass(frozen=True, slots=True)
class SyllableTiming:
    """Rhythm of a voice: syllables a second, syllables in a phrase, seconds of pause between phrases."""

    rate_hz: Range
    phrase_syllables: tuple[int, int]
    pause_seconds: Range


@dataclass(frozen=True, slots=True)
class VoiceDesign:
    """One way of speaking; every entry is drawn once a segment, then varied a little for each syllable.

    Attributes:
        timing: Name in ``TIMINGS``.
        pitch: Factor on the speaker's own pitch.
        glide_octaves: Pitch change from a syllable's begin to its end.
        tremor_octaves: Depth of a 5-8 Hz tremor of the pitch (the level trembles along).
        jitter: Relative roughness of the pitch. ``shimmer`` is drawn in proportion.
        level_db: Loudness against the speaker's own middle.
        pressed: Glottal source from 0 (soft, dark) to 1 (pressed, bright).
        breath: Share of aspiration noise.
        vowels: Names of the vowels that are drawn, see ``voice.VOWELS_HZ``.
    """

    timing: str
    pitch: Range
    glide_octaves: Range
    tremor_octaves: Range
    jitter: Range
    level_db: Range
    pressed: Range
    breath: Range
    vowels: str


@dataclass(frozen=True, slots=True)
class ClassDesign:
    """One row of the table: names of a face, a motion and a voice."""

    label: str
    face: str
    motion: Motion
    voice: str


CLASSES: Final = (
    ClassDesign("Neutral", "rest", "held", "calm"),
    ClassDesign("Anger", "scowl", "held", "harsh"),
    ClassDesign("Disgust", "scowl", "held", "creaky"),
    ClassDesign("Fear", "startle", "held", "trembling"),
    ClassDesign("Happiness", "smile", "held", "lively"),
    ClassDesign("Sadness", "sorrow", "held", "calm"),
    ClassDesign("Surprise", "startle", "held", "gliding"),
    ClassDesign("Other", "smile", "pulsing", "lively"),
)
"""The table above, in the order of ``EXPRESSIONS``."""

assert tuple(row.label for row in CLASSES) == EXPRESSIONS  # noqa: S101 - a broken table must not import

FACES: Final[dict[str, FaceDesign]] = {
    "rest": FaceDesign({"lip_press": (0.0, 0.12), "lip_corner_pull": (0.0, 0.06)}),
    "sorrow": FaceDesign(
        {
            "inner_brow_raise": (0.75, 1.0),
            "brow_lower": (0.15, 0.4),
            "lip_corner_depress": (0.75, 1.0),
            "chin_raise": (0.2, 0.7),
            "lid_tighten": (0.0, 0.25),
        }
    ),
    "scowl": FaceDesign(
        {
            "brow_lower": (0.75, 1.0),
            "lid_tighten": (0.4, 0.8),
            "nose_wrinkle": (0.35, 0.9),
            "upper_lip_raise": (0.3, 0.9),
            "lip_corner_depress": (0.1, 0.4),
            "chin_raise": (0.1, 0.5),
            "lip_press": (0.0, 0.5),
        }
    ),
    "startle": FaceDesign(
        {
            "inner_brow_raise": (0.7, 1.0),
            "outer_brow_raise": (0.6, 1.0),
            "brow_lower": (0.0, 0.3),
            "upper_lid_raise": (0.65, 1.0),
            "lip_stretch": (0.0, 0.4),
            "jaw_drop": (0.4, 0.85),
        }
    ),
    "smile": FaceDesign(
        {
            "cheek_raise": (0.6, 1.0),
            "lip_corner_pull": (0.8, 1.0),
            "outer_brow_raise": (0.0, 0.15),
            "jaw_drop": (0.0, 0.2),
        },
        level=(0.6, 0.66),
        swing=(0.32, 0.38),
    ),
}

PLAIN_FACES: Final[dict[str, FaceDesign]] = {
    "Neutral": FaceDesign({"lip_press": (0.0, 0.05)}, level=(1.0, 1.0), swing=(0.0, 0.05)),
    "Anger": FaceDesign(
        {
            "brow_lower": (1.0, 1.2),
            "upper_lid_raise": (0.2, 0.4),
            "lid_tighten": (0.5, 0.8),
            "lip_press": (0.3, 0.7),
            "chin_raise": (0.3, 0.6),
            "lip_corner_depress": (0.2, 0.5),
        },
        level=(1.0, 1.1),
        swing=(0.0, 0.05),
    ),
    "Happiness": FaceDesign(
        {"cheek_raise": (0.9, 1.0), "lip_corner_pull": (1.0, 1.15), "jaw_drop": (0.15, 0.35)},
        level=(1.0, 1.0),
        swing=(0.0, 0.05),
    ),
    "Sadness": FaceDesign(
        {
            "inner_brow_raise": (0.9, 1.1),
            "brow_lower": (0.3, 0.5),
            "lip_corner_depress": (0.9, 1.1),
            "chin_raise": (0.4, 0.8),
            "lid_tighten": (0.2, 0.4),
        },
        level=(1.0, 1.1),
        swing=(0.0, 0.05),
    ),
    "Surprise": FaceDesign(
        {
            "inner_brow_raise": (0.9, 1.0),
            "outer_brow_raise": (0.9, 1.0),
            "upper_lid_raise": (0.9, 1.0),
            "jaw_drop": (0.8, 1.1),
        },
        level=(1.0, 1.0),
        swing=(0.0, 0.05),
    ),
}
"""Faces that a model of people's faces can read (EMFACS), by class; what has none here shows the puzzle's."""

TIMINGS: Final[dict[str, SyllableTiming]] = {
    "slow": SyllableTiming((2.6, 3.4), (3, 5), (0.2, 0.4)),
    "brisk": SyllableTiming((3.4, 4.4), (3, 6), (0.12, 0.3)),
    "quick": SyllableTiming((4.4, 5.6), (4, 8), (0.1, 0.25)),
}

VOICES: Final[dict[str, VoiceDesign]] = {
    "calm": VoiceDesign(
        timing="slow",
        pitch=(0.9, 1.02),
        glide_octaves=(-0.18, -0.04),
        tremor_octaves=(0.0, 0.01),
        jitter=(0.004, 0.01),
        level_db=(-5.0, -1.0),
        pressed=(0.2, 0.4),
        breath=(0.02, 0.08),
        vowels="aeiou@",
    ),
    "harsh": VoiceDesign(
        timing="brisk",
        pitch=(1.25, 1.6),
        glide_octaves=(-0.45, -0.15),
        tremor_octaves=(0.0, 0.01),
        jitter=(0.025, 0.05),
        level_db=(4.0, 8.0),
        pressed=(0.85, 1.0),
        breath=(0.0, 0.05),
        vowels="aae@",
    ),
    "creaky": VoiceDesign(
        timing="brisk",
        pitch=(0.55, 0.75),
        glide_octaves=(-0.5, -0.2),
        tremor_octaves=(0.0, 0.02),
        jitter=(0.05, 0.12),
        level_db=(-3.0, 1.0),
        pressed=(0.2, 0.45),
        breath=(0.05, 0.15),
        vowels="uuo@",
    ),
    "trembling": VoiceDesign(
        timing="brisk",
        pitch=(1.3, 1.6),
        glide_octaves=(-0.1, 0.05),
        tremor_octaves=(0.14, 0.22),
        jitter=(0.02, 0.04),
        level_db=(-3.0, 1.0),
        pressed=(0.1, 0.35),
        breath=(0.4, 0.7),
        vowels="eia@",
    ),
    "gliding": VoiceDesign(
        timing="brisk",
        pitch=(1.2, 1.5),
        glide_octaves=(0.7, 1.1),
        tremor_octaves=(0.0, 0.01),
        jitter=(0.005, 0.015),
        level_db=(0.0, 4.0),
        pressed=(0.4, 0.65),
        breath=(0.02, 0.1),
        vowels="ooau",
    ),
    "lively": VoiceDesign(
        timing="quick",
        pitch=(1.2, 1.45),
        glide_octaves=(-0.05, 0.3),
        tremor_octaves=(0.0, 0.01),
        jitter=(0.005, 0.015),
        level_db=(0.0, 4.0),
        pressed=(0.55, 0.8),
        breath=(0.03, 0.1),
        vowels="eiea",
    ),
}
