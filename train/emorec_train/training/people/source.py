"""Clips of people as a source of labelled clips: each is drawn from its number alone."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Vision
from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.media.types import Frame, MediaItem, MissingFrame, Samples
from emorec_train.data.labels import IGNORED, ClipLabels
from emorec_train.data.source import LabelledClip
from emorec_train.data.synthetic import Split
from emorec_train.training.degrade import Degrader
from emorec_train.training.people.faces import Sway, blended, filmed, spoken
from emorec_train.training.people.material import Material, read_material
from emorec_train.training.people.plan import Plan, Planner, Stretch

VERSION: Final = 3
"""Of what is drawn from a number."""

LABEL_RATE_HZ: Final = 25.0
FRAME_RATES_HZ: Final = (5.0, 5.0, 5.0, 12.5)
"""Few frames a second are enough of a still face; the grid repeats them."""

DEGRADED_SHARE: Final = 0.7
"""Training clips whose sound is recorded badly; scored ones are clean."""

SOUND_RATE_HZ: Final = 10
"""A track has whole tenths of a second: lengths with small factors make quick Fourier transforms."""

FADE_SAMPLES: Final = 160
NOISE_DBFS: Final = (-75.0, -45.0)
"""Level of the noise in clips without a voice, half of which have no sound at all."""

NEAR_SECONDS: Final = 1.0
"""A label counts where a face or a voice is no further away."""


@dataclass(frozen=True)
class PeopleClips:
    """A ``ClipSource``.

    Attributes:
        data: Folder with ``faces``, ``voices`` and ``speech``.
        labels: The model's labels.
        spec: How crops are made.
        counts: Clips in each split.
        fold: Of the acted voices, the speakers that are only scored.
    """

    data: Path
    labels: tuple[str, ...]
    spec: Vision
    counts: dict[Split, int] = field(hash=False)
    fold: int

    def clip_ids(self, split: Split) -> list[str]:
        """Split and number."""
        return [f"{split}-{number}" for number in range(self.counts.get(split, 0))]

    def open(self, clip_id: str) -> LabelledClip:
        """Put the clip together."""
        plan, material, rng = self._planned(clip_id)
        sway, rate = Sway.draw(rng), float(rng.choice(FRAME_RATES_HZ))
        items: list[MediaItem] = []
        if plan.kind != "voice":
            items += _frames(plan, material, sway, rate, rng)
        elif rng.random() < 0.5:
            items += [MissingFrame(k, k / rate) for k in range(int(plan.seconds * rate))]
        sound = _sound(plan, material, rng, degraded=clip_id.startswith("train"))
        if sound is not None:
            items.insert(0, Samples(0.0, sound))
        return LabelledClip(items, _truth(plan, material), "off")

    def truth(self, clip_id: str) -> ClipLabels:
        """The labels, without pictures and sound."""
        plan, material, _ = self._planned(clip_id)
        return _truth(plan, material)

    def fingerprint(self, clip_id: str) -> str:
        """Of what the clip is drawn from."""
        told = f"{VERSION} {self.data.resolve()} {self.labels} {self.spec} {self.fold} {clip_id}"
        return hashlib.sha256(told.encode()).hexdigest()

    def _planned(self, clip_id: str) -> tuple[Plan, Material, np.random.Generator]:
        split, _, number = clip_id.partition("-")
        held_out = split != "train"
        material = self.materials()[held_out]
        rng = np.random.default_rng([VERSION, held_out, int(number)])
        return Planner(material).draw(rng), material, rng

    def materials(self) -> tuple[Material, Material]:
        """Material of clips: for learning, and for scores."""
        return _materials(self.data, self.spec, self.labels, self.fold)


_materials = cache(read_material)
"""Read once for a process."""


def _frames(
    plan: Plan, material: Material, sway: Sway, rate_hz: float, rng: np.random.Generator
) -> Iterator[MediaItem]:
    pixels = material.faces.pixels
    for index in range(int(plan.seconds * rate_hz)):
        time = index / rate_hz
        stretch = _stretch_at(plan.stretches, time)
        if stretch.away_seconds[0] <= time < stretch.away_seconds[1]:
            yield MissingFrame(index, time)
            continue
        assert plan.rest is not None  # noqa: S101 - as every face's plan has
        assert stretch.face is not None  # noqa: S101 - likewise
        face = blended(pixels[plan.rest], pixels[stretch.face], round(_intensity(stretch, time), 2))
        if _speaks(plan, material, stretch, time):
            face = spoken(face, 0.12 * abs(np.sin(2.0 * np.pi * 2.3 * time)))
        yield Frame(index, time, filmed(face, sway, time, rng))


def _stretch_at(stretches: Sequence[Stretch], time: float) -> Stretch:
    return next((one for one in stretches if time < one.end_seconds), stretches[-1])


def _intensity(stretch: Stretch, time: float) -> float:
    """0 at rest, 1 at the apex; smooth between them."""
    edge = min(time - stretch.start_seconds, stretch.end_seconds - time)
    share = float(np.clip(edge / stretch.onset_seconds, 0.0, 1.0))
    return share * share * (3.0 - 2.0 * share)


def _speaks(plan: Plan, material: Material, stretch: Stretch, time: float) -> bool:
    if stretch.voice is None:
        return False
    voices = material.natural if plan.natural else material.acted
    seconds = float(voices.sounds.lengths[stretch.voice]) / SAMPLE_RATE_HZ / plan.speed
    return stretch.voice_seconds <= time < stretch.voice_seconds + seconds


def _sound(
    plan: Plan, material: Material, rng: np.random.Generator, *, degraded: bool
) -> NDArray[np.float32] | None:
    """The sound track, float32 ``[N]``; ``None`` for a clip that has none."""
    count = int(plan.seconds * SOUND_RATE_HZ) * (SAMPLE_RATE_HZ // SOUND_RATE_HZ)
    if plan.kind == "face":
        return None if rng.random() < 0.5 else _background(material, count, rng)
    track = np.zeros(count, np.float32)
    voices = material.natural if plan.natural else material.acted
    for stretch in plan.stretches:
        if stretch.voice is not None:
            _put(track, voices.sounds.samples(stretch.voice), stretch.voice_seconds, plan.speed)
    if degraded and rng.random() < DEGRADED_SHARE:
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        degrade = Degrader(torch.from_numpy(material.noise), generator)
        return np.asarray(degrade(torch.from_numpy(track)[None])[0].numpy(), np.float32)
    return track


def _background(material: Material, count: int, rng: np.random.Generator) -> NDArray[np.float32]:
    first = int(rng.integers(len(material.noise) - count))
    noise = material.noise[first : first + count]
    level = 10.0 ** (rng.uniform(*NOISE_DBFS) / 20.0)
    return np.asarray(noise * level / max(float(np.sqrt(np.mean(noise**2))), 1e-6), np.float32)


def _put(track: NDArray[np.float32], voice: NDArray[np.float32], at_seconds: float, speed: float) -> None:
    """Add an utterance at a speed, faded in and out."""
    places = np.arange(int((len(voice) - 1) / speed)) * speed
    heard = np.interp(places, np.arange(len(voice)), voice).astype(np.float32)
    fade = np.minimum(1.0, np.minimum(np.arange(len(heard)), np.arange(len(heard))[::-1]) / FADE_SAMPLES)
    first = round(at_seconds * SAMPLE_RATE_HZ)
    place = track[first : first + len(heard)]
    place += (heard * fade)[: len(place)].astype(np.float32)


def _truth(plan: Plan, material: Material) -> ClipLabels:
    """Shares of the classes at every step, the likeliest of them, and none far from face and voice."""
    times = np.arange(int(plan.seconds * LABEL_RATE_HZ)) / LABEL_RATE_HZ
    shares = np.stack([_shares(plan, material, time) for time in times.tolist()])
    labels = shares.argmax(axis=1).astype(np.int64)
    if plan.kind == "face":
        labels[_away(plan, times)] = IGNORED
    return ClipLabels(labels, times, shares=shares)


def _shares(plan: Plan, material: Material, time: float) -> NDArray[np.float32]:
    """The episode's target; while the face rises and falls, a part of it is at rest."""
    stretch = _stretch_at(plan.stretches, time)
    if plan.rest is None:
        return stretch.target
    seen = 1.0 if stretch.voice is None else 0.5
    rest = seen * (1.0 - _intensity(stretch, time))
    return np.asarray((1.0 - rest) * stretch.target + rest * material.faces.targets[plan.rest], np.float32)


def _away(plan: Plan, times: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Steps whose face was last seen, and is seen again, longer than ``NEAR_SECONDS`` away."""
    spans = [stretch.away_seconds for stretch in plan.stretches]
    inside = [(times >= start + NEAR_SECONDS) & (times < end - NEAR_SECONDS) for start, end in spans]
    return np.asarray(np.any(inside, axis=0))
