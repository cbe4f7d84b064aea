"""Predictions: one for each decoded frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.faces import Box


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """The expression at one frame (or, for sound without video, at one step of the time grid).

    Attributes:
        index: Frame number from 0, as decoded.
        time_seconds: Presentation time on the container's clock.
        label: The most probable class.
        probabilities: float32 ``[C]`` in the order of the bundle's labels; they add up to 1.
        face: Whether a face was seen; without, the visual stream was masked.
        sound: Whether there was sound; without, the audio stream was masked.
        box: The face in pixels of the upright frame, if one was seen.
        labels: Class names, in the order of the probabilities.
        person: Identity, from 1, where everyone is followed and the frame shows the person.
        interpolated: Whether the frame was left out, and stands between encoded ones; ``None`` where each
            frame is encoded.
        measures: What the bundle tells beside the classes, by name: ``valence`` and ``arousal`` from -1 to 1,
            action units such as ``AU12`` as the probability that they are there; empty for most bundles.
    """

    index: int
    time_seconds: float
    label: str
    probabilities: NDArray[np.float32]
    face: bool
    sound: bool
    box: Box | None = None
    labels: tuple[str, ...] = ()
    person: int | None = None
    interpolated: bool | None = None
    measures: Mapping[str, float] = field(default_factory=dict)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Prediction):
            return NotImplemented
        own, others = ([getattr(row, name) for name in _VALUES] for row in (self, other))
        return own == others and np.array_equal(self.probabilities, other.probabilities)

    def __hash__(self) -> int:
        return hash((self.index, self.time_seconds, self.label, self.person))

    @property
    def known(self) -> bool:
        """Say whether a face was seen or sound was heard; without either, the label says nothing."""
        return self.face or self.sound

    @property
    def scores(self) -> dict[str, float]:
        """Probability of each class by its name."""
        return dict(zip(self.labels, self.probabilities.tolist(), strict=True))

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain Python objects, keys as in a row of ``jsonl``.

        ``label`` is ``None`` where neither a face was seen nor sound was heard.
        """
        box = self.box
        return {
            "frame": self.index,
            "time_seconds": self.time_seconds,
            "label": self.label if self.known else None,
            "probabilities": self.scores,
            **self.measures,
            "face": self.face,
            "sound": self.sound,
            "box": None if box is None else [box.left, box.top, box.width, box.height],
            **self.flags,
        }

    @property
    def flags(self) -> dict[str, bool]:
        """Flags that rows have where frames may be left out; none in exact mode."""
        return {} if self.interpolated is None else {"interpolated": self.interpolated}


_VALUES: Final = tuple(own.name for own in fields(Prediction) if own.name != "probabilities")
"""Compared by ``==``; arrays have an ``==`` of their own, which gives an array."""
