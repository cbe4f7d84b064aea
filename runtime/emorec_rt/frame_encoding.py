"""Which frames are encoded, and what the steps between them get.

Exact mode encodes each frame that stands for a step. The fast modes encode fewer: at most so many a second,
or none whose crop has hardly changed since the last one that was. Rows stay one for each frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.batching import Batcher, Item
from emorec_rt.errors import UsageError

SIMILAR_CELLS: Final = 14
"""Crops are compared as this many grey cells on each side: noise averages out, a mouth that opens doesn't."""

DEFAULT_SIMILAR: Final = 6.0
"""Grey levels (of 255) by which no cell of a similar crop differs."""


@dataclass(frozen=True, slots=True)
class Thinning:
    """What to leave out; exact mode leaves out nothing.

    Attributes:
        vision_fps: Frames encoded in a second, at most; the steps between two of them get an embedding
            between theirs, by time. ``None`` encodes each.
        similar: A crop of which no cell differs by more than so many grey levels from the crop that was
            encoded last reuses that embedding. ``None`` reuses none.
    """

    vision_fps: float | None = None
    similar: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            UsageError: No rate, or a difference below 0.
        """
        if self.vision_fps is not None and not self.vision_fps > 0.0:
            raise UsageError(f"vision_fps is {self.vision_fps}; it must be above 0")
        if self.similar is not None and not self.similar >= 0.0:
            raise UsageError(f"similar is {self.similar}; it must be 0 or more")


EXACT: Final = Thinning()


@dataclass(slots=True)
class Slot:
    """A step on its way: its embedding is ``None`` while the encoder works or when there is no face."""

    time_seconds: float
    waiting: bool
    embedding: NDArray[np.float32] | None = None

    def fill(self, embedding: NDArray[np.float32]) -> None:
        """Take the embedding, float32 ``[D]``."""
        self.embedding, self.waiting = embedding, False


@dataclass(slots=True)
class Shot:
    """A crop that is encoded once, and whoever waits for its embedding."""

    time_seconds: float
    embedding: NDArray[np.float32] | None = None
    _waiting: list[Callable[[NDArray[np.float32]], None]] = field(default_factory=list)

    def tell(self, action: Callable[[NDArray[np.float32]], None]) -> None:
        """Call ``action`` with the embedding, now or when it is there."""
        if self.embedding is None:
            self._waiting.append(action)
        else:
            action(self.embedding)

    def arrive(self, embedding: NDArray[np.float32]) -> None:
        """The encoder has run."""
        self.embedding = embedding
        for action in self._waiting:
            action(embedding)
        self._waiting.clear()


class FrameEncoder:
    """Fill the slots of one input's steps, in their order.

    Args:
        vision: Batcher of the vision encoder.
        thinning: What to leave out.
        interpolate: Whether slots between two encoded frames wait for the later one; live sources don't, and
            hold the earlier one's embedding.
        changed: Called after slots were filled by the encoder.
    """

    def __init__(
        self, vision: Batcher, thinning: Thinning, *, interpolate: bool, changed: Callable[[], None]
    ) -> None:
        self._vision = vision
        self._period = 0.0 if thinning.vision_fps is None else 1.0 / thinning.vision_fps
        self._similar = thinning.similar
        self._interpolate = interpolate
        self._changed = changed
        self._key: Shot | None = None  # newest frame that stands for itself
        self._key_frame: int | None = None
        self._key_seconds = 0.0  # its step's time; a shot may be reused at a later one
        self._due_seconds = -np.inf  # when the next one is
        self._between: list[Slot] = []  # steps since then
        self._last: tuple[Shot, NDArray[np.float32]] | None = None  # encoded last, and its cells

    def add(self, slot: Slot, frame: int | None, pixels: NDArray[np.uint8] | None) -> None:
        """The next step: the number of its frame and that one's crop, uint8 ``[H, W, 3]``.

        Both are ``None`` without a picture, the crop without a face.
        """
        if pixels is None:
            self.finish()
            return
        if self._key is not None and frame == self._key_frame:
            self._key.tell(slot.fill)  # one frame may stand for several steps
            return
        if self._key is not None and slot.time_seconds < self._due_seconds - 1e-6:
            self._leave_out(slot)
            return
        shot = self._shot(slot.time_seconds, pixels)
        self._fill_between(shot, slot.time_seconds)
        # On a grid of its own, so that 10 of 25 frames a second are 10, not 25 / 3.
        late = self._key is None or slot.time_seconds > self._due_seconds + self._period
        self._due_seconds = (slot.time_seconds if late else self._due_seconds) + self._period
        self._key, self._key_seconds, self._key_frame = shot, slot.time_seconds, frame
        shot.tell(slot.fill)

    def finish(self) -> None:
        """The face is gone, or the input ends: what lies after the last encoded frame holds its embedding."""
        if self._key is not None:
            for slot in self._between:
                self._key.tell(slot.fill)
        self._between.clear()
        self._key = None

    def _leave_out(self, slot: Slot) -> None:
        if self._interpolate:
            self._between.append(slot)
        elif self._key is not None:
            self._key.tell(slot.fill)

    def _fill_between(self, after: Shot, after_seconds: float) -> None:
        before = self._key
        if before is None:
            return
        for slot in self._between:
            share = (slot.time_seconds - self._key_seconds) / (after_seconds - self._key_seconds)
            _mix(slot, before, after, share)
        self._between.clear()

    def _shot(self, time_seconds: float, pixels: NDArray[np.uint8]) -> Shot:
        if self._similar is None:
            return self._encode(time_seconds, pixels)
        cells = _cells(pixels)
        if self._last is not None and np.abs(cells - self._last[1]).max() <= self._similar:
            return self._last[0]
        shot = self._encode(time_seconds, pixels)
        self._last = shot, cells
        return shot

    def _encode(self, time_seconds: float, pixels: NDArray[np.uint8]) -> Shot:
        shot = Shot(time_seconds)

        def done(outputs: Item) -> None:
            shot.arrive(outputs["embeddings"])
            self._changed()

        self._vision.submit({"frames": pixels}, done)
        return shot


def _mix(slot: Slot, before: Shot, after: Shot, share: float) -> None:
    def fill(late: NDArray[np.float32]) -> None:
        # Encoders answer in the order of asking, so the earlier one has arrived.
        before.tell(lambda early: slot.fill(np.asarray((1.0 - share) * early + share * late, np.float32)))

    after.tell(fill)


def _cells(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(np.asarray(pixels), cv2.COLOR_RGB2GRAY)
    return np.asarray(
        cv2.resize(grey.astype(np.float32), (SIMILAR_CELLS, SIMILAR_CELLS), interpolation=cv2.INTER_AREA)
    )
