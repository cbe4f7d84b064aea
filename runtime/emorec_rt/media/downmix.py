"""Any number of channels into one, without clipping."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from av.audio.frame import AudioFrame
from av.audio.plane import AudioPlane
from numpy.typing import NDArray

_HALF_POWER: Final = 2**-0.5
_WEIGHTS: Final = {"FC": 1.0, "FL": _HALF_POWER, "FR": _HALF_POWER, "LFE": 0.0, "LFE2": 0.0}
_SURROUND_WEIGHT: Final = 0.5
_DTYPES: Final[dict[str, Any]] = {
    "u8": np.uint8,
    "s16": np.int16,
    "s32": np.int32,
    "s64": np.int64,
    "flt": np.float32,
    "dbl": np.float64,
}
"""NumPy's types for FFmpeg's packed sample formats."""

_SURROUND: Final = frozenset({"BL", "BR", "BC", "SL", "SR", "FLC", "FRC", "WL", "WR", "DL", "DR"})


OPPOSED_SHARE: Final = 0.01
"""Two channels whose sum has so much less power than their difference are one sound, once inverted."""


class Downmix:
    """Mix the frames of one stream down to one channel.

    Weights are those of ITU-R BS.775 (centre 1, left and right 0.707, surround 0.5, no LFE), scaled to sum
    to 1 so that nothing clips; channels without a known place share evenly. NaN and infinity become zero.

    Two channels of which one is inverted, as by a cable that is wired wrong, would cancel each other out: the
    second is turned round as long as they do.

    Attributes:
        opposed: Whether that has happened.
    """

    def __init__(self) -> None:
        self.opposed = False
        self._turned = False

    def mono(self, frame: AudioFrame) -> NDArray[np.float32]:
        """Mix a decoded frame down to float32 ``[N]`` in [-1, 1]."""
        channels = channels_of(frame)
        if not np.isfinite(channels).all():
            channels = np.nan_to_num(channels, nan=0.0, posinf=0.0, neginf=0.0)
        weights = _weights(tuple(channel.name for channel in frame.layout.channels), channels.shape[1])
        if channels.shape[1] == 2 and self._turns(channels):
            weights = weights * np.array([1.0, -1.0], np.float32)
        mixed: NDArray[np.float32] = np.clip(channels, -1.0, 1.0) @ weights
        return mixed

    def _turns(self, channels: NDArray[np.float32]) -> bool:
        """Say whether to turn the second channel round: while the sum has less power than the difference."""
        left, right = np.clip(channels, -1.0, 1.0).T
        together, apart = (float(np.dot(x, x)) for x in (left + right, left - right))
        if apart > 0.0 and together <= OPPOSED_SHARE * apart:
            self._turned = self.opposed = True
        elif together > apart:
            self._turned = False
        return self._turned


def planes_of(frame: AudioFrame) -> list[AudioPlane]:
    """Planes of a frame: one for each channel of a planar format, else a single one.

    PyAV's own ``planes`` and ``to_ndarray`` look for the end of FFmpeg's list of planes, which has no end
    mark where there are exactly eight.
    """
    count = frame.layout.nb_channels if frame.format.is_planar else 1
    return [AudioPlane(frame, index) for index in range(count)]


def channels_of(frame: AudioFrame) -> NDArray[np.float32]:
    """Read the samples of all channels: float32 ``[N, channels]``."""
    kind = _DTYPES[frame.format.packed.name]
    planes: list[Any] = planes_of(frame)
    arrays = [np.frombuffer(memoryview(plane), kind) for plane in planes]
    channels = frame.layout.nb_channels
    if frame.format.is_planar:
        return _to_float(np.stack([array[: frame.samples] for array in arrays]).T)
    return _to_float(arrays[0][: frame.samples * channels].reshape(-1, channels))


def _to_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):  # a float64 beyond float32 becomes infinity, then zero
            return _float32(samples)
    half_range = np.float32(2 ** (8 * samples.dtype.itemsize - 1))
    zero = half_range if samples.dtype.kind == "u" else np.float32(0)
    scaled: NDArray[np.float32] = (_float32(samples) - zero) / half_range
    return scaled


def _float32(samples: NDArray[Any]) -> NDArray[np.float32]:
    floats: NDArray[np.float32] = samples.astype(np.float32)
    return floats


@lru_cache(maxsize=32)
def _weights(names: tuple[str, ...], count: int) -> NDArray[np.float32]:
    known = len(names) == count and all(name in _WEIGHTS or name in _SURROUND for name in names)
    raw = [_WEIGHTS.get(name, _SURROUND_WEIGHT) for name in names] if known else [1.0] * count
    if not sum(raw):
        raw = [1.0] * count
    weights: NDArray[np.float32] = np.asarray(raw, np.float32) / np.float32(sum(raw))
    return weights
