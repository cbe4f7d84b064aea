"""Sound for the encoder of people: acted voices with labels, natural speech without, and noise.

Each folder has a ``manifest.csv``, one row a file; ``data/voices`` and ``data/speech`` of the default model's
material are laid out like that. Files are read by the runtime's own decoder.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import MediaError
from emorec_rt.media import Samples, open_media
from emorec_train.console import tracked
from emorec_train.data.datasets.record import DatasetError

MANIFEST: Final = "manifest.csv"
FULL_SCALE: Final = 32767.0


@dataclass(frozen=True, slots=True)
class Recording:
    """One file.

    Attributes:
        path: Where it is.
        speaker: Who speaks; empty where nobody says.
        label: One of the model's, or empty.
        fold: For cross-validation by speaker; -1 for none.
        split: ``train`` or another, as the manifest says.
        noise: Whether it holds no speech.
    """

    path: Path
    speaker: str
    label: str = ""
    fold: int = -1
    split: str = "train"
    noise: bool = False


def read_voices(folder: Path) -> list[Recording]:
    """Acted voices: columns ``file``, ``speaker``, ``label``, ``fold`` and ``split``.

    Raises:
        DatasetError: There is not a manifest, or it lacks a column or a file.
    """
    rows = _rows(folder, ("file", "speaker", "label", "fold", "split"))
    return _present(
        folder,
        (
            Recording(
                folder / row["file"], row["speaker"], row["label"], int(row["fold"] or -1), row["split"]
            )
            for row in rows
        ),
    )


def read_speech(folder: Path) -> list[Recording]:
    """Natural speech, and noise in ``noise/``: columns ``file``, ``corpus``, ``speaker`` and ``split``.

    Raises:
        DatasetError: There is not a manifest, or it lacks a column or a file.
    """
    rows = _rows(folder, ("file", "corpus", "speaker", "split"))
    return _present(
        folder,
        (
            Recording(
                folder / row["file"],
                row["speaker"],
                split=row["split"] or "train",
                noise=row["file"].startswith("noise/"),
            )
            for row in rows
        ),
    )


def _rows(folder: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    path = folder / MANIFEST
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise DatasetError(
            path, f"can't be read ({error.strerror}); --data is the folder above it"
        ) from error
    lacking = [name for name in columns if not rows or name not in rows[0]]
    if lacking:
        raise DatasetError(
            path, f"has no rows, or none of the columns {', '.join(lacking)}; another version?"
        )
    return rows


def _present(folder: Path, recordings: Iterable[Recording]) -> list[Recording]:
    found = list(recordings)
    absent = [recording.path for recording in found if not recording.path.is_file()]
    if absent:
        raise DatasetError(folder, f"{len(absent)} files of its manifest are missing, {absent[0].name} first")
    return found


@dataclass(frozen=True, slots=True)
class SoundTable:
    """Recordings in memory, one after the other.

    Attributes:
        pcm: int16 ``[N]``, 16 kHz mono.
        starts: int64 ``[R]``, where each begins.
        lengths: int64 ``[R]``, samples of each.
    """

    pcm: NDArray[np.int16]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts)

    def samples(self, index: int) -> NDArray[np.float32]:
        """One recording, float32 in [-1, 1]."""
        part = self.pcm[self.starts[index] : self.starts[index] + self.lengths[index]]
        return np.asarray(part / FULL_SCALE, np.float32)


def load_sounds(recordings: list[Recording], label: str) -> SoundTable:
    """Decode recordings; ``label`` is for the progress bar.

    Raises:
        MediaError: One can't be decoded.
    """
    sounds = [decode(recording.path) for recording in tracked(recordings, label, len(recordings))]
    lengths = np.array([len(sound) for sound in sounds], np.int64)
    return SoundTable(np.concatenate(sounds), np.cumsum(lengths) - lengths, lengths)


def decode(path: Path) -> NDArray[np.int16]:
    """The sound of a file, int16 ``[N]``.

    Raises:
        MediaError: It can't be decoded, or holds no sound.
    """
    with open_media(path, frames=False, sound=True) as media:
        blocks = [item.pcm for item in media if isinstance(item, Samples)]
    if not blocks:
        raise MediaError(path, "holds no sound")
    scaled = np.clip(np.concatenate(blocks), -1.0, 1.0) * FULL_SCALE
    return np.asarray(np.rint(scaled), np.int16)
