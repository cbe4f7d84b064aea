"""Does the sample look like faces and voices? Ranges from noise, silence or one frame are worth nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from emorec_calib.errors import CalibrationError
from emorec_rt.engines.base import Engine, Tensors

MIN_FRAMES: Final = 100
MIN_CHUNKS: Final = 4
MIN_WINDOWS: Final = 4
"""Less than this, and the ranges are those of a few seconds."""

FLAT_STD: Final = {"frames": 2.0, "samples": 1e-5}
"""Standard deviation, in grey levels or of the waveform, under which a sample is plain or silent."""

NOISE_CORRELATION: Final = {"frames": 0.3, "samples": 0.1}
"""Correlation of neighbouring pixels or samples: noise has none, faces and voices have a lot."""


class Look(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """Statistics of the data so far; they can be put aside and taken up again.

    Attributes:
        seen: Samples.
        flat: Plain or silent ones among them.
        correlation: Sum of the neighbour correlations of the others.
        first: Hash of the first sample.
        varied: Whether another one differed from it.
        sha256: Hash of everything, in order: of the previous hash and each new sample's.
    """

    seen: int = 0
    flat: int = 0
    correlation: float = 0.0
    first: str = ""
    varied: bool = False
    sha256: str = hashlib.sha256().hexdigest()


@dataclass
class Witness(Engine):
    """Stands between the caller and an encoder's engine, and remembers what the data looked like.

    Attributes:
        engine: The engine that does the work.
        minimum: How many samples are enough.
        what: What a sample is called.
        inputs: The engine's.
        outputs: The engine's.
        look: What was seen.
    """

    engine: Engine
    minimum: int
    what: str
    look: Look = field(default_factory=Look)

    def __post_init__(self) -> None:
        self.inputs = self.engine.inputs
        self.outputs = self.engine.outputs

    def run(self, feeds: Tensors) -> dict[str, NDArray[Any]]:
        """See ``Engine.run``."""
        name = self.inputs[0].name
        for sample in feeds[name]:
            self._look(name, sample)
        return self.engine.run(feeds)

    def _look(self, name: str, sample: NDArray[Any]) -> None:
        look, own = self.look, hashlib.sha256(sample.tobytes()).hexdigest()
        look.sha256 = hashlib.sha256((look.sha256 + own).encode()).hexdigest()
        look.first = look.first or own
        look.varied = look.varied or own != look.first
        look.seen += 1
        if sample.std() < FLAT_STD[name]:
            look.flat += 1
        else:
            look.correlation += _neighbour_correlation(sample)

    def complaints(self) -> Iterator[str]:
        """Faults of the sample, one line each."""
        look = self.look
        if look.seen < self.minimum:
            yield f"only {look.seen} {self.what}, at least {self.minimum} are needed"
        elif look.flat == look.seen or not look.varied:
            yield f"all {look.seen} {self.what} are constant or alike"
        elif look.correlation / (look.seen - look.flat) < NOISE_CORRELATION[self.inputs[0].name]:
            yield f"the {self.what} look like random noise"


def check_sample(vision: Witness, audio: Witness, windows: int) -> None:
    """Refuse a sample that can't give useful ranges.

    Raises:
        CalibrationError: With every reason.
    """
    reasons = [*vision.complaints(), *audio.complaints()]
    if windows < MIN_WINDOWS:
        reasons.append(f"only {windows} windows, at least {MIN_WINDOWS} are needed")
    if reasons:
        raise CalibrationError(f"the calibration clips won't do: {'; '.join(reasons)}")


def _neighbour_correlation(sample: NDArray[Any]) -> float:
    """Correlation of each value with the next one along the last spatial or temporal axis."""
    values = sample.astype(np.float64)
    values = values.mean(axis=2) if values.ndim == 3 else values
    left, right = values[..., :-1].ravel(), values[..., 1:].ravel()
    left, right = left - left.mean(), right - right.mean()
    scale = np.sqrt((left @ left) * (right @ right))
    return float((left @ right) / scale) if scale > 0 else 0.0
