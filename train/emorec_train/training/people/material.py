"""Still pictures, acted voices, natural speech and noise, in two halves that share no person.

Voices are halved by the fold of their speakers, pictures and speech by their own split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Vision
from emorec_train.data.pictures.opening import PictureRequest, open_pictures
from emorec_train.data.pictures.types import Pictures, as_grey
from emorec_train.data.recordings import Recording, SoundTable, load_sounds, read_speech, read_voices

PICTURES: Final = (("ferplus.npz", 0.0), ("posed_ccby.npz", 0.2))
"""Files of still faces, and the margin that their pictures have around the face."""

HELD_OUT: Final = "heldout"
"""Split of the speech that is only scored."""

NOISE_SAMPLES: Final = 120 * 16_000
"""Noise is repeated to be longer than any clip."""

SAID: Final = 0.9
"""Share of a voice's target that its label has: listeners agree on nine acted utterances in ten."""


@dataclass(frozen=True)
class Voices:
    """Utterances of some speakers.

    Attributes:
        sounds: All of them.
        speakers: Their speakers' names, ``[U]``.
        labels: int64 ``[U]``, index into the model's labels.
    """

    sounds: SoundTable
    speakers: tuple[str, ...]
    labels: NDArray[np.int64]

    def of(self, speaker: str) -> NDArray[np.int64]:
        """Indices of a speaker's utterances."""
        return np.flatnonzero([name == speaker for name in self.speakers])

    @property
    def names(self) -> list[str]:
        """Every speaker once."""
        return sorted(set(self.speakers))


@dataclass(frozen=True)
class Material:
    """Material of one split's clips.

    Attributes:
        faces: Grey crops with shared labels.
        acted: Voices with a label.
        natural: Voices without, labelled Neutral.
        noise: float32 ``[N]``, recorded noise.
    """

    faces: Pictures
    acted: Voices
    natural: Voices
    noise: NDArray[np.float32]


def read_material(data: Path, spec: Vision, labels: Sequence[str], fold: int) -> tuple[Material, Material]:
    """Read everything.

    Args:
        data: Folder with ``faces``, ``voices`` and ``speech``.
        spec: How crops are made.
        labels: The model's labels.
        fold: Of the acted voices, the speakers that are only scored.

    Returns:
        What is learnt from, and what is scored.

    Raises:
        DatasetError: Something is missing or of another form.
    """
    sets = [
        open_pictures(PictureRequest("npz", data / "faces" / name, margin=margin), spec, labels)
        for name, margin in PICTURES
    ]
    acted = [one for one in read_voices(data / "voices") if one.label]
    speech = read_speech(data / "speech")
    natural = [one for one in speech if not one.noise]
    noises = load_sounds([one for one in speech if one.noise], "noises")
    noise = np.concatenate([noises.samples(index) for index in range(len(noises))])
    noise = np.resize(noise, max(len(noise), NOISE_SAMPLES))
    return (
        Material(
            _joined([one.train for one in sets]),
            _voices([one for one in acted if one.fold != fold], labels, "acted voices"),
            _voices([one for one in natural if one.split != HELD_OUT], labels, "speech"),
            noise,
        ),
        Material(
            _joined([one.validation for one in sets]),
            _voices([one for one in acted if one.fold == fold], labels, "held-out voices"),
            _voices([one for one in natural if one.split == HELD_OUT], labels, "held-out speech"),
            noise,
        ),
    )


def _joined(sets: Sequence[Pictures]) -> Pictures:
    return Pictures(
        np.concatenate([as_grey(one.pixels) for one in sets]), np.concatenate([one.targets for one in sets])
    )


def _voices(recordings: list[Recording], labels: Sequence[str], title: str) -> Voices:
    named = [recording.label or "Neutral" for recording in recordings]
    # Nobody says who speaks in some: each of these is a speaker of its own.
    speakers = tuple(one.speaker or one.path.name for one in recordings)
    return Voices(load_sounds(recordings, title), speakers, np.array([labels.index(name) for name in named]))
