"""Timing and manner of each syllable: the plan that the voice and the mouth share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from emorec_train.data.synthetic.design import TIMINGS, VOICES, VoiceDesign
from emorec_train.data.synthetic.timeline import Segment


@dataclass(frozen=True, slots=True)
class Syllable:
    """One syllable over ``[start_seconds, end_seconds)``.

    Attributes:
        start_seconds: Begin of its onset.
        end_seconds: End of its release.
        stress: Relative loudness and mouth opening, about 0.6 to 1.
        pitch: Factor on the speaker's pitch at its begin.
        glide_octaves: Pitch change over its length.
        tremor_octaves: Depth of the tremor.
        tremor_hz: Rate of the tremor.
        jitter: Relative roughness of the pitch.
        level_db: Loudness.
        pressed: Source from soft (0) to pressed (1).
        breath: Share of aspiration noise.
        vowel: Its name.
        consonant: Loudness of the burst of noise at its begin.
    """

    start_seconds: float
    end_seconds: float
    stress: float
    pitch: float
    glide_octaves: float
    tremor_octaves: float
    tremor_hz: float
    jitter: float
    level_db: float
    pressed: float
    breath: float
    vowel: str
    consonant: float


@dataclass(frozen=True, slots=True)
class _Manner:
    """A voice design with its ranges drawn for one segment."""

    design: VoiceDesign
    pitch: float
    tremor_octaves: float
    tremor_hz: float
    jitter: float
    level_db: float
    pressed: float
    breath: float


def draw_syllables(rng: np.random.Generator, segments: tuple[Segment, ...]) -> tuple[Syllable, ...]:
    """Syllables in phrases with pauses, each segment in its own class's manner."""
    return tuple(syllable for segment in segments for syllable in _draw_segment(rng, segment))


def _draw_segment(rng: np.random.Generator, segment: Segment) -> list[Syllable]:
    manner = _draw_manner(rng, VOICES[segment.design.voice])
    timing = TIMINGS[manner.design.timing]
    period = 1.0 / rng.uniform(*timing.rate_hz)
    time = segment.start_seconds + rng.uniform(0.0, timing.pause_seconds[0])
    syllables: list[Syllable] = []
    while True:
        for _ in range(int(rng.integers(timing.phrase_syllables[0], timing.phrase_syllables[1] + 1))):
            length = period * rng.uniform(0.8, 1.2)
            if time + length > segment.end_seconds:
                return syllables
            syllables.append(_draw_syllable(rng, manner, time, time + length * rng.uniform(0.82, 0.98)))
            time += length
        time += rng.uniform(*timing.pause_seconds)


def _draw_manner(rng: np.random.Generator, design: VoiceDesign) -> _Manner:
    return _Manner(
        design=design,
        pitch=rng.uniform(*design.pitch),
        tremor_octaves=rng.uniform(*design.tremor_octaves),
        tremor_hz=rng.uniform(5.0, 8.0),
        jitter=rng.uniform(*design.jitter),
        level_db=rng.uniform(*design.level_db),
        pressed=rng.uniform(*design.pressed),
        breath=rng.uniform(*design.breath),
    )


def _draw_syllable(rng: np.random.Generator, manner: _Manner, start: float, end: float) -> Syllable:
    vowels = manner.design.vowels
    return Syllable(
        start_seconds=start,
        end_seconds=end,
        stress=rng.uniform(0.6, 1.0),
        pitch=manner.pitch * rng.uniform(0.94, 1.06),
        glide_octaves=rng.uniform(*manner.design.glide_octaves),
        tremor_octaves=manner.tremor_octaves,
        tremor_hz=manner.tremor_hz,
        jitter=manner.jitter,
        level_db=manner.level_db + rng.uniform(-1.0, 1.0),
        pressed=manner.pressed,
        breath=manner.breath,
        vowel=vowels[int(rng.integers(len(vowels)))],
        consonant=rng.uniform(0.0, 0.5),
    )


def mouth_opening_at(
    syllables: tuple[Syllable, ...], times_seconds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Opening of the mouth by speech, 0 to 1, float64 ``[T]``; from timing and stress, nothing else."""
    opening = np.zeros_like(times_seconds)
    for syllable in syllables:
        length = syllable.end_seconds - syllable.start_seconds
        inside = np.clip((times_seconds - syllable.start_seconds) / length, 0.0, 1.0)
        np.maximum(opening, syllable.stress * np.sin(np.pi * inside), out=opening)
    return opening
