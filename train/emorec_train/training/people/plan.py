"""Plans of clips of people: who is seen, who is heard, what they show, and when.

A clip is a row of episodes, each with one emotion. A face rises from the neutral picture to an expressive one
and falls back; a voice speaks for a part of the episode. Either may be missing, for the clip or for a while,
and now and then they disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from emorec_train.training.people.material import SAID, Material

Kind = Literal["face", "voice", "both"]

KINDS: Final[tuple[Kind, ...]] = ("face", "voice", "both")
KIND_SHARES: Final = (0.35, 0.25, 0.4)
EPISODES: Final = (2, 6)
SILENT_SECONDS: Final = (1.5, 4.0)
"""Length of an episode without a voice."""

PAUSE_SECONDS: Final = (0.1, 1.0)
"""Silence before and after a voice within its episode."""

NATURAL_SHARE: Final = 0.4
"""Clips of both streams whose voice is natural speech. It is never heard alone: nobody has labelled it, and a
model would learn to tell recordings apart, acted ones from others, instead of voices."""

STEADY_SHARE: Final = 0.4
"""Clips that show one emotion throughout."""

DISAGREE_SHARE: Final = 0.12
"""Episodes in which face and voice show different emotions."""

AWAY_SHARE: Final = 0.1
"""Episodes in which the face is away for a while."""

SPEEDS: Final = (0.87, 1.15)
"""Of voices: a shorter or longer throat beside another pace, so that eight speakers sound like more."""

ONSET_SECONDS: Final = (0.1, 0.6)
BALANCE: Final = 0.5
"""Classes of faces are drawn by their frequency to this power."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """One emotion for a while.

    Attributes:
        start_seconds: When it begins.
        end_seconds: When it ends, exclusive.
        face: Index of its picture; ``None`` without a face.
        voice: Index of its utterance; ``None`` without a voice.
        voice_seconds: When the utterance begins.
        onset_seconds: How long the face takes to rise and to fall.
        away_seconds: While the face can't be seen, ``[start, end)``.
        target: float32 ``[C]``, share of each class.
    """

    start_seconds: float
    end_seconds: float
    face: int | None
    voice: int | None
    voice_seconds: float
    onset_seconds: float
    away_seconds: tuple[float, float]
    target: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Plan:
    """A clip.

    Attributes:
        kind: What can be seen and heard.
        natural: Whether the voice is natural speech.
        rest: Index of the neutral picture between expressions; ``None`` without a face.
        stretches: In order, without gaps.
        speed: Of the voice; pitch goes with it.
    """

    kind: Kind
    natural: bool
    rest: int | None
    stretches: tuple[Stretch, ...]
    speed: float

    @property
    def seconds(self) -> float:
        """Length of the clip."""
        return self.stretches[-1].end_seconds


class Planner:
    """Draw plans from one split's material.

    Args:
        material: What there is.
    """

    def __init__(self, material: Material) -> None:
        self._material = material
        self._face_labels = material.faces.labels
        counts = np.bincount(self._face_labels, minlength=material.faces.targets.shape[1])
        weights = counts.astype(np.float64) ** BALANCE
        self._face_shares = weights / weights.sum()
        self._faces = [np.flatnonzero(self._face_labels == label) for label in range(len(counts))]
        self._speakers = (material.acted.names, material.natural.names)

    def draw(self, rng: np.random.Generator) -> Plan:
        """One clip."""
        kind = KINDS[rng.choice(len(KINDS), p=KIND_SHARES)]
        natural = bool(kind == "both" and rng.random() < NATURAL_SHARE)
        speed = float(rng.uniform(*SPEEDS)) if kind != "face" else 1.0
        rest = None if kind == "voice" else self._face(0, rng)
        voices = self._voices(natural, rng) if kind != "face" else None
        stretches: list[Stretch] = []
        for _ in range(rng.integers(*EPISODES)):
            start = stretches[-1].end_seconds if stretches else 0.0
            stretches.append(self._stretch(start, kind, natural, voices, speed, rng))
        return Plan(kind, natural, rest, tuple(stretches), speed)

    def seen(self, face: int) -> NDArray[np.float32]:
        """Shares of the classes that taggers gave a picture, float32 ``[C]``."""
        return np.asarray(self._material.faces.targets[face])

    def _voices(self, natural: bool, rng: np.random.Generator) -> NDArray[np.int64]:
        """Utterances of one speaker; of some, those of one emotion alone."""
        voices = self._material.natural if natural else self._material.acted
        own = voices.of(rng.choice(self._speakers[natural]))
        if rng.random() < STEADY_SHARE:
            labels = voices.labels[own]
            own = own[labels == rng.choice(np.unique(labels))]
        return own

    def _stretch(
        self,
        start: float,
        kind: Kind,
        natural: bool,
        voices: NDArray[np.int64] | None,
        speed: float,
        rng: np.random.Generator,
    ) -> Stretch:
        voice, seconds, before = None, float(rng.uniform(*SILENT_SECONDS)), 0.0
        if voices is not None:
            voice = int(rng.choice(voices))
            before, after = rng.uniform(*PAUSE_SECONDS, 2)
            seconds = before + self.voice_seconds(natural, voice) / speed + after
        face = None
        if kind != "voice":
            face = self._face(self._face_label(natural, voice, rng), rng)
        away = (0.0, 0.0)
        if face is not None and rng.random() < AWAY_SHARE:
            middle, half = rng.uniform(0.0, seconds), rng.uniform(0.2, 1.0)
            away = (start + middle - half, start + middle + half)
        return Stretch(
            start,
            start + seconds,
            face,
            voice,
            start + before,
            float(rng.uniform(*ONSET_SECONDS)),
            away,
            self._target(face, natural, voice),
        )

    def voice_seconds(self, natural: bool, voice: int) -> float:
        """Length of an utterance at its own speed."""
        voices = self._material.natural if natural else self._material.acted
        return float(voices.sounds.lengths[voice]) / 16_000

    def _face_label(self, natural: bool, voice: int | None, rng: np.random.Generator) -> int:
        """Label of the face beside a voice: the same; beside natural speech, and now and then, any."""
        if voice is None or rng.random() < DISAGREE_SHARE:
            return int(rng.choice(len(self._faces), p=self._face_shares))
        if natural:
            return 0 if rng.random() < 0.6 else int(rng.choice(len(self._faces), p=self._face_shares))
        return int(self._material.acted.labels[voice])

    def _face(self, label: int, rng: np.random.Generator) -> int:
        return int(rng.choice(self._faces[label]))

    def _target(self, face: int | None, natural: bool, voice: int | None) -> NDArray[np.float32]:
        """Label of both streams together; where they disagree, the emotional one weighs more."""
        classes = len(self._faces)
        if face is None and voice is None:
            return np.full(classes, 1.0 / classes, np.float32)
        seen = None if face is None else self._material.faces.targets[face]
        if voice is None and seen is not None:
            return np.asarray(seen, np.float32)
        label = 0 if natural else int(self._material.acted.labels[voice or 0])
        said = np.full(classes, (1.0 - SAID) / classes, np.float32)
        said[label] += SAID
        if seen is None:
            return said
        if natural:
            return np.asarray(seen, np.float32)
        if seen.argmax() == label:
            return _together(seen, said)
        share = 0.7 if label == 0 else 0.4 if seen.argmax() == 0 else 0.5
        return np.asarray(share * seen + (1.0 - share) * said, np.float32)


def _together(seen: NDArray[np.float32], said: NDArray[np.float32]) -> NDArray[np.float32]:
    """Shares of the classes by two witnesses that agree: they are surer together than either alone."""
    product = seen * said
    return np.asarray(product / product.sum(), np.float32)
