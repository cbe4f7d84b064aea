"""Voice of one person over times that leap."""

from __future__ import annotations

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Gate
from emorec_rt.constants import TOKEN_RATE_HZ
from emorec_rt.windows.gate import SILENCE_DBFS
from emorec_rt.windows.sound import SoundStream
from emorec_rt.windows.tokens import Tokens
from emorec_rt.windows.voice import BLOCK_TOKENS, Voice
from fakes import preprocessing

DAYS_SECONDS = 12 * 86_400.0


class OneSecond(SoundStream):
    """Sound of one second at time 0; notes how many tokens were taken at once."""

    def __init__(self, width: int) -> None:
        self._width = width
        self.taken: list[int] = []

    def indices(self, times_seconds: NDArray[np.float64]) -> NDArray[np.int64]:
        """As the timeline's, which begins at 0."""
        return np.rint(times_seconds * TOKEN_RATE_HZ).astype(np.int64)

    def times_seconds(self, indices: NDArray[np.int64]) -> NDArray[np.float64]:
        """As the timeline's."""
        return np.asarray(indices / TOKEN_RATE_HZ)

    def take(self, indices: NDArray[np.int64]) -> Tokens:
        """Ones in the first second."""
        self.taken.append(len(indices))
        real = indices < TOKEN_RATE_HZ
        values = np.where(real[:, None], 1.0, 0.0).repeat(self._width, axis=1).astype(np.float32)
        return Tokens(values, real, np.where(real, -20.0, SILENCE_DBFS).astype(np.float32))


def test_days_between_two_windows_need_no_memory() -> None:
    plain = preprocessing()
    spec = msgspec.structs.replace(plain, audio=msgspec.structs.replace(plain.audio, gate=Gate()))
    sound = OneSecond(spec.audio.embedding_dim)
    voice = Voice(spec, sound, lambda times: np.ones(len(times), np.bool_))
    steps = np.arange(25) / 25
    values, mask = voice.gather(steps)
    assert mask.all()
    assert (values == 1.0).all()
    _, mask = voice.gather(DAYS_SECONDS + steps)
    assert not mask.any()
    assert sum(sound.taken) > DAYS_SECONDS * TOKEN_RATE_HZ
    assert max(sound.taken) == BLOCK_TOKENS
