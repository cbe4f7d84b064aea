"""Owner of the sound where several people are in the picture.

With one face, the sound is that person's. With several, it belongs to whoever speaks: by the turns of a
diarisation (RTTM, from any tool), or else to the face whose mouth moves. Where no mouth moves, the sound is
nobody's.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import UsageError

NEAR_SECONDS: Final = 0.6
"""Half of the time over which the movement of a mouth is averaged: two or three syllables on each side."""

LEAST_MOTION: Final = 0.004
"""Mean movement below which a mouth is at rest."""

KEPT_SECONDS: Final = 120.0
"""Movement that is remembered; windows are far shorter."""


@dataclass(frozen=True, slots=True)
class Turn:
    """Somebody speaks, in ``[start_seconds, end_seconds)``."""

    start_seconds: float
    end_seconds: float
    name: str


@dataclass(slots=True)
class _Mouth:
    times: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)

    def near(self, time: float) -> list[float]:
        first = bisect_left(self.times, time - NEAR_SECONDS)
        return self.moved[first : bisect_left(self.times, time + NEAR_SECONDS)]


class Speakers:
    """Turns of the people in one input.

    Args:
        turns: Turns of a diarisation; without, mouths decide.
    """

    def __init__(self, turns: tuple[Turn, ...] | None = None) -> None:
        self._turns = turns
        self._mouths: dict[int, _Mouth] = {}
        self._motion: dict[str, dict[int, float]] = defaultdict(lambda: defaultdict(float))

    def see(self, person: int, time_seconds: float, moved: float) -> None:
        """Note how much a person's mouth moved; times of one person grow."""
        mouth = self._mouths.setdefault(person, _Mouth())
        mouth.times.append(time_seconds)
        mouth.moved.append(moved)
        if mouth.times[0] < time_seconds - 2 * KEPT_SECONDS:
            del mouth.moved[: (old := bisect_left(mouth.times, time_seconds - KEPT_SECONDS))]
            del mouth.times[:old]
        for name in self._names_at(time_seconds):
            self._motion[name][person] += moved

    def mask(self, person: int, times_seconds: NDArray[np.float64]) -> NDArray[np.float32]:
        """Return 1 where the sound is this person's, float32 ``[S]``."""
        return np.array([self._owns(person, time) for time in times_seconds.tolist()], np.float32)

    def _owns(self, person: int, time: float) -> bool:
        near = {who: moved for who, mouth in self._mouths.items() if (moved := mouth.near(time))}
        if len(near) < 2:
            return True
        if self._turns is not None:
            return any(self._person_of(name) == person for name in self._names_at(time))
        means = {who: sum(moved) / len(moved) for who, moved in near.items()}
        loudest = max(means, key=lambda who: means[who])
        return loudest == person and means[loudest] >= LEAST_MOTION

    def _names_at(self, time: float) -> list[str]:
        return [turn.name for turn in self._turns or () if turn.start_seconds <= time < turn.end_seconds]

    def _person_of(self, name: str) -> int | None:
        """The person whose mouth moved most in this speaker's turns so far."""
        motion = self._motion.get(name)
        return max(motion, key=lambda who: motion[who]) if motion else None


def read_rttm(path: Path, recording: str) -> tuple[Turn, ...]:
    """Read the turns of one recording from an RTTM file (NIST, Rich Transcription 2009).

    Args:
        path: The file; its lines are ``SPEAKER recording channel start length <NA> <NA> name ...``.
        recording: Which recording: an input's name without folder and suffix.

    Raises:
        UsageError: It can't be read, is no RTTM, or has no line about the recording.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError as error:
        raise UsageError(f"{path}: can't be read ({error.strerror})") from error
    turns: dict[str, list[Turn]] = defaultdict(list)
    for number, line in enumerate(lines, 1):
        words = line.split()
        if words and words[0] == "SPEAKER":
            turns[words[1] if len(words) > 1 else ""].append(_turn(path, number, words))
    if recording not in turns:
        known = ", ".join(sorted(turns)[:3]) or "no turn at all"
        raise UsageError(f"{path}: no line about {recording}; it has {known}")
    return tuple(sorted(turns[recording], key=lambda turn: turn.start_seconds))


def _turn(path: Path, number: int, words: list[str]) -> Turn:
    try:
        start, length, name = float(words[3]), float(words[4]), words[7]
    except (IndexError, ValueError):
        raise UsageError(f"{path}: line {number} is not a line of RTTM") from None
    if not (np.isfinite(start) and np.isfinite(length) and length >= 0):
        raise UsageError(f"{path}: line {number} has no finite times")
    return Turn(start, start + length, name)
