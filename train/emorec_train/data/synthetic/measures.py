"""Valence, arousal and action units of drawn clips.

Action units are what the face is drawn from; AU23 and AU25 are not drawn, so nothing is said of them. Valence
and arousal are where a class lies at full strength on Russell's circumplex (1980; the figures are our
choice), times the strength that the expression has at the moment.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.tasks import MEASURES, VALENCE_AROUSAL
from emorec_train.data.synthetic.design import ACTION_UNITS
from emorec_train.data.synthetic.timeline import Segment, action_units_at, blended

FACS_UNITS: Final[dict[str, str]] = {
    "AU01": "inner_brow_raise",
    "AU02": "outer_brow_raise",
    "AU04": "brow_lower",
    "AU06": "cheek_raise",
    "AU07": "lid_tighten",
    "AU10": "upper_lip_raise",
    "AU12": "lip_corner_pull",
    "AU15": "lip_corner_depress",
    "AU24": "lip_press",
    "AU26": "jaw_drop",
}
"""The drawn control of each of ABAW's action units that there is one for."""

PRESENT: Final = 0.3
"""Strength from which an action unit counts as present."""

CIRCUMPLEX: Final[dict[str, tuple[float, float]]] = {
    "Neutral": (0.0, 0.0),
    "Anger": (-0.6, 0.7),
    "Disgust": (-0.7, 0.3),
    "Fear": (-0.6, 0.8),
    "Happiness": (0.8, 0.5),
    "Sadness": (-0.7, -0.5),
    "Surprise": (0.3, 0.8),
    "Other": (0.4, 0.2),
}
"""Valence and arousal of each class at full strength."""


def measures_at(segments: tuple[Segment, ...], times_seconds: NDArray[np.float64]) -> NDArray[np.float32]:
    """Measures at each time, float32 ``[T, M]`` in the order of ``MEASURES``; NaN where nothing is drawn."""
    measures = np.full((len(times_seconds), len(MEASURES)), np.nan, np.float32)
    places = [np.array(CIRCUMPLEX[segment.design.label]) for segment in segments]
    measures[:, : len(VALENCE_AROUSAL)] = np.clip(blended(segments, places, times_seconds), -1.0, 1.0)
    units = action_units_at(segments, times_seconds)
    for name, control in FACS_UNITS.items():
        measures[:, MEASURES.index(name)] = units[:, ACTION_UNITS.index(control)] >= PRESENT
    return measures
