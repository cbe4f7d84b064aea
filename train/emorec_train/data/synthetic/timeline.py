"""Classes over time, and their strength: segments, labels and action units over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.synthetic.design import (
    ACTION_UNITS,
    CLASSES,
    FACES,
    MOTION_RATE_HZ,
    PLAIN_FACES,
    ClassDesign,
)
from emorec_train.data.synthetic.types import ClipSpec

SHORTEST_SEGMENT_SECONDS: Final = 2.0
_RAMP_SECONDS: Final = (0.2, 0.5)
_MEAN_SEGMENT_SECONDS: Final = (2.6, 8.0)


@dataclass(frozen=True, slots=True)
class Segment:
    """One class over ``[start_seconds, end_seconds)``.

    Its strength at time t is ``level + swing * sin(2 pi rate t + phase)``.

    Attributes:
        design: The class's row of the table.
        start_seconds: Where its label begins: the middle of the onset.
        end_seconds: Where its label ends: the middle of the offset.
        ramp_seconds: Length of the onset (a smooth step from the segment before).
        units: float64 ``[A]``, strength of each action unit at full level.
        level: Middle of the strength.
        swing: Amplitude of the strength around it.
        rate_hz: How often it swings.
        phase: Where in the swing time 0 lies, in radians.
    """

    design: ClassDesign
    start_seconds: float
    end_seconds: float
    ramp_seconds: float
    units: NDArray[np.float64]
    level: float
    swing: float
    rate_hz: float
    phase: float

    def strength(self, times_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Strength of the expression at each time, as if the segment lasted for ever."""
        return self.level + self.swing * np.sin(2 * np.pi * self.rate_hz * times_seconds + self.phase)


def draw_segments(rng: np.random.Generator, spec: ClipSpec) -> tuple[Segment, ...]:
    """Segments that fill the clip, each at least two seconds where the clip is long enough."""
    names = spec.labels if spec.labels is not None else _draw_labels(rng, spec.seconds)
    shortest = min(SHORTEST_SEGMENT_SECONDS, spec.seconds / len(names))
    slack = spec.seconds - shortest * len(names)
    lengths = shortest + slack * rng.dirichlet(np.full(len(names), 2.0))
    ends = np.cumsum(lengths)
    return tuple(
        _draw_segment(rng, name, end - length, end, plain=spec.plain)
        for name, length, end in zip(names, lengths.tolist(), ends.tolist(), strict=True)
    )


def _draw_labels(rng: np.random.Generator, seconds: float) -> tuple[str, ...]:
    wanted = round(seconds / rng.uniform(*_MEAN_SEGMENT_SECONDS))
    count = max(1, min(wanted, int(seconds / SHORTEST_SEGMENT_SECONDS)))
    labels = [int(rng.integers(len(EXPRESSIONS)))]
    while len(labels) < count:
        labels.append((labels[-1] + int(rng.integers(1, len(EXPRESSIONS)))) % len(EXPRESSIONS))
    return tuple(EXPRESSIONS[label] for label in labels)


def _draw_segment(rng: np.random.Generator, label: str, start: float, end: float, *, plain: bool) -> Segment:
    design = CLASSES[EXPRESSIONS.index(label)]
    face = FACES[design.face]
    if plain:
        face = PLAIN_FACES.get(label, face)
    units = [rng.uniform(*face.units.get(unit, (0.0, 0.0))) for unit in ACTION_UNITS]
    return Segment(
        design=design,
        start_seconds=start,
        end_seconds=end,
        ramp_seconds=rng.uniform(*_RAMP_SECONDS),
        units=np.array(units),
        level=rng.uniform(*face.level),
        swing=rng.uniform(*face.swing),
        rate_hz=rng.uniform(*MOTION_RATE_HZ[design.motion]),
        phase=rng.uniform(0.0, 2 * np.pi),
    )


def labels_at(segments: tuple[Segment, ...], times_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Class index at each time, int64 ``[T]``."""
    starts = np.array([segment.start_seconds for segment in segments[1:]])
    indices = np.array([EXPRESSIONS.index(segment.design.label) for segment in segments], dtype=np.int64)
    return indices[np.searchsorted(starts, times_seconds, side="right")]


def action_units_at(segments: tuple[Segment, ...], times_seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Strength of each action unit, float64 ``[T, A]``."""
    return blended(segments, [segment.units for segment in segments], times_seconds)


def blended(
    segments: tuple[Segment, ...], apexes: Sequence[NDArray[np.float64]], times_seconds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Values over time, float64 ``[T, A]``; segments fade into each other at their boundary.

    Args:
        segments: When, and how strong.
        apexes: Values of each segment at full strength, ``[A]``.
        times_seconds: ``[T]``.
    """
    values = np.outer(segments[0].strength(times_seconds), apexes[0])
    for segment, apex in zip(segments[1:], apexes[1:], strict=True):
        share = _smooth_step((times_seconds - segment.start_seconds) / segment.ramp_seconds + 0.5)[:, None]
        values = (1 - share) * values + share * np.outer(segment.strength(times_seconds), apex)
    return values


def _smooth_step(position: NDArray[np.float64]) -> NDArray[np.float64]:
    inside = np.clip(position, 0.0, 1.0)
    return np.asarray(inside * inside * (3 - 2 * inside))
