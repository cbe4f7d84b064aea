"""Any number of channels into one, without clipping."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final

import numpy as np
from av.audio.frame import AudioFrame
from numpy.typing import NDArray

_HALF_POWER: Final = 2**-0.5
_WEIGHTS: Final = {"FC": 1.0, "FL": _HALF_POWER, "FR": _HALF_POWER, "LFE": 0.0, "LFE2": 0.0}
_SURROUND_WEIGHT: Final = 0.5
_SURROUND: Final = frozenset({"BL", "BR", "BC", "SL", "SR", "FLC", "FRC", "WL", "WR", "DL", "DR"})


def mono(frame: AudioFrame) -> NDArray[np.float32]:
    """Mix a decoded frame down to float32 ``[N]`` in [-1, 1].

    Weights are those of ITU-R BS.775 (centre 1, left and right 0.707, surround 0.5, no LFE), scaled to sum
    to 1 so that nothing clips; channels without a known place share evenly. NaN and infinity become zero.
    """
    channels = _channels_last(frame)
    if not np.isfinite(channels).all():
        channels = np.nan_to_num(channels, nan=0.0, posinf=0.0, neginf=0.0)
    weights = _weights(tuple(channel.name for channel in frame.layout.channels), channels.shape[1])
    mixed: NDArray[np.float32] = np.clip(channels, -1.0, 1.0) @ weights
    return mixed


def _channels_last(frame: AudioFrame) -> NDArray[np.float32]:
    array = frame.to_ndarray()
    samples: NDArray[Any] = array.T if frame.format.is_planar else array.reshape(-1, frame.layout.nb_channels)
    return _to_float(samples)


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
