"""The voice: glottal pulses and aspiration noise through formants (the source-filter model, Fant 1960)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_train.data.synthetic.speech import Syllable

VOWELS_HZ: Final[dict[str, tuple[float, float, float]]] = {
    "a": (730.0, 1090.0, 2440.0),
    "e": (530.0, 1840.0, 2480.0),
    "i": (270.0, 2290.0, 3010.0),
    "o": (570.0, 840.0, 2410.0),
    "u": (300.0, 870.0, 2240.0),
    "@": (500.0, 1500.0, 2500.0),
}
"""First three formants (Peterson and Barney 1952); '@' is the neutral vowel of a uniform tube."""

_BANDWIDTHS_HZ: Final = (70.0, 90.0, 140.0, 220.0)
_FOURTH_FORMANT_HZ: Final = 3500.0
_RAMP_SECONDS: Final = 0.035
_CONTROL_HZ: Final = 200
_TABLE: Final = 1024
_TAIL_SAMPLES: Final = 400


@dataclass(frozen=True, slots=True)
class Speaker:
    """Speaker of a voice: middle pitch in Hz and the factor of the vocal tract on all formants."""

    pitch_hz: float
    tract: float


def draw_speaker(rng: np.random.Generator) -> Speaker:
    """A speaker from low to high; high voices have shorter vocal tracts."""
    height = rng.uniform(0.0, 1.0)
    return Speaker(
        pitch_hz=float(np.exp(np.log(95.0) + height * np.log(215.0 / 95.0))),
        tract=0.92 + 0.2 * height + rng.uniform(-0.05, 0.05),
    )


def speak(
    rng: np.random.Generator, speaker: Speaker, syllables: tuple[Syllable, ...], sample_count: int
) -> NDArray[np.float32]:
    """Synthesise the syllables: float32 ``[sample_count]`` at 16 kHz, at an arbitrary level."""
    sound = np.zeros(sample_count + SAMPLE_RATE_HZ, dtype=np.float32)
    pulses = _pulse_tables()
    for syllable in syllables:
        first = round(syllable.start_seconds * SAMPLE_RATE_HZ)
        spoken = _speak_syllable(rng, speaker, syllable, pulses)
        sound[first : first + len(spoken)] += spoken
    return sound[:sample_count]


def _pulse_tables() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """A period of the glottal flow's derivative, soft and pressed (Rosenberg's pulse), at unit power."""
    return _pulse(0.85, 0.25), _pulse(0.5, 0.04)


def _pulse(open_share: float, return_share: float) -> NDArray[np.float64]:
    phase = np.arange(_TABLE) / _TABLE
    rise = np.clip(phase / open_share, 0.0, 1.0)
    flow = rise**2 * (1 - np.clip((phase - open_share) / return_share, 0.0, 1.0))
    derivative = np.diff(flow, append=flow[0])
    derivative -= derivative.mean()
    return np.asarray(derivative / derivative.std())


def _speak_syllable(
    rng: np.random.Generator,
    speaker: Speaker,
    syllable: Syllable,
    pulses: tuple[NDArray[np.float64], NDArray[np.float64]],
) -> NDArray[np.float32]:
    count = round((syllable.end_seconds - syllable.start_seconds) * SAMPLE_RATE_HZ)
    time = np.arange(count) / SAMPLE_RATE_HZ
    frequency, loudness = _pitch_and_loudness(rng, speaker, syllable, time)
    position = ((np.cumsum(frequency) / SAMPLE_RATE_HZ + rng.uniform()) * _TABLE).astype(np.int64) % _TABLE
    voiced = syllable.pressed * pulses[1][position] + (1 - syllable.pressed) * pulses[0][position]
    noise = rng.standard_normal(count)
    source = loudness * ((1 - syllable.breath) * voiced + syllable.breath * noise)
    burst = syllable.consonant * noise * np.exp(-time / 0.012)
    size = count + _TAIL_SAMPLES
    spectrum = np.fft.rfft(source + 0.7 * burst, _fast_size(size))
    response = _vocal_tract(syllable.vowel, speaker.tract, 0.85 * (1 - syllable.pressed), len(spectrum))
    filtered = np.fft.irfft(spectrum * response)[:size]
    gain = syllable.stress * 10 ** (syllable.level_db / 20) / (np.std(filtered) + 1e-9)
    return np.asarray(gain * filtered, dtype=np.float32)


def _pitch_and_loudness(
    rng: np.random.Generator, speaker: Speaker, syllable: Syllable, time: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    length = syllable.end_seconds - syllable.start_seconds
    control = np.arange(0.0, length + 2 / _CONTROL_HZ, 1 / _CONTROL_HZ)
    tremor = np.sin(2 * np.pi * syllable.tremor_hz * (syllable.start_seconds + control))
    roughness = rng.standard_normal((2, len(control))) * syllable.jitter
    octaves = syllable.glide_octaves * control / length + syllable.tremor_octaves * tremor
    pitch = speaker.pitch_hz * syllable.pitch * 2**octaves * (1 + roughness[0])
    envelope = np.clip(np.minimum(control, length - control) / _RAMP_SECONDS, 0.0, 1.0)
    loudness = envelope * (1 + 2.5 * syllable.tremor_octaves * tremor) * (1 + 3 * roughness[1])
    return np.interp(time, control, pitch), np.interp(time, control, loudness)


def _fast_size(count: int) -> int:
    """The next power of two, so that transforms are fast and resonances don't wrap around."""
    return 1 << count.bit_length()


def _vocal_tract(vowel: str, tract: float, softness: float, bins: int) -> NDArray[np.complex128]:
    """Frequency response of four resonators in cascade and a one-pole low-pass, complex128 ``[bins]``."""
    frequencies = tract * np.array([*VOWELS_HZ[vowel], _FOURTH_FORMANT_HZ])
    radius = np.exp(-np.pi * np.array(_BANDWIDTHS_HZ) / SAMPLE_RATE_HZ)
    first = -2 * radius * np.cos(2 * np.pi * frequencies / SAMPLE_RATE_HZ)
    delay = np.exp(-1j * np.linspace(0, np.pi, bins))
    poles = 1 + np.outer(first, delay) + np.outer(radius**2, delay**2)
    return np.asarray((1 + first + radius**2).prod() / (poles.prod(axis=0) * (1 - softness * delay)))
