"""The check that nothing is in two splits: no speaker, no utterance, no sound."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

import numpy as np

from emorec_rt.errors import MediaError
from emorec_rt.media import Samples, open_media
from emorec_train.data.datasets.ravdess import utterance_of
from emorec_train.data.datasets.record import ClipRecord, DatasetError

S = TypeVar("S", bound=str)


class LeakError(DatasetError):
    """The same speaker, utterance or sound in two splits."""


def check_disjoint(
    splits: Mapping[S, Sequence[ClipRecord]],
    *,
    sound: bool = True,
    speakers: bool = True,
    known: Mapping[Path, str | None] = MappingProxyType({}),
) -> list[str]:
    """Refuse splits that share a speaker or a recording, unless a challenge fixes them.

    Recordings are the same when their decoded sound is (mono, 16 kHz, 16 bit: the container plays no part;
    silence is nobody's recording), or when RAVDESS's names say so: there the sound of an audio-visual file
    and of the audio-only file of the same utterance differ by the codec.

    Args:
        splits: Records of each split or fold part.
        sound: Compare sound, which decodes every file once. A file that can't be decoded is not compared.
        speakers: Compare speakers.
        known: What ``sound_hash`` says of files for which it has been asked already.

    Returns:
        A line for each speaker or recording that two official splits share.

    Raises:
        LeakError: Names the first leak between other splits and counts the rest.
    """
    seen: dict[str, tuple[str, ClipRecord]] = {}
    hashes = dict(known)
    leaks: list[str] = []
    official: list[str] = []
    for split, records in splits.items():
        for record in sorted(records, key=lambda record: record.clip_id):
            for key in _keys(record, hashes if sound else None, speakers=speakers):
                first_split, first = seen.setdefault(key, (split, record))
                if first_split != split:
                    found = official if first.official_split and record.official_split else leaks
                    found.append(
                        f"{key} is in {first_split} ({first.clip_id}) and {split} ({record.clip_id})"
                    )
    if leaks:
        more = f"; {len(leaks) - 1} more" if len(leaks) > 1 else ""
        raise LeakError("splits", leaks[0] + more)
    return official


def _keys(record: ClipRecord, hashes: dict[Path, str | None] | None, *, speakers: bool) -> Iterator[str]:
    if speakers and record.speaker is not None:
        yield f"speaker {record.speaker}"
    media = dict.fromkeys(path for path in (record.video, record.sound) if path is not None)
    yield from dict.fromkeys(
        f"RAVDESS utterance {name}" for name in (utterance_of(path.stem) for path in media) if name
    )
    if hashes is None or record.sound is None:
        return
    if record.sound not in hashes:
        hashes[record.sound] = sound_hash(record.sound)
    if digest := hashes[record.sound]:
        yield f"sound {digest[:12]}"


def sound_hash(path: Path) -> str | None:
    """SHA-256 of a file's decoded sound; ``None`` where it is silent, absent or can't be decoded."""
    digest, heard = hashlib.sha256(), False
    try:
        with open_media(path, frames=False) as reader:
            for item in reader:
                if isinstance(item, Samples):
                    pcm = np.round(item.pcm * 32767).astype("<i2")
                    digest.update(pcm.tobytes())
                    heard = heard or bool(pcm.any())
    except MediaError:
        return None
    return digest.hexdigest() if heard else None
