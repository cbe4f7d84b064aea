"""Choice of the frames to encode, and embeddings of the steps between them.

Exact mode encodes each frame that stands for a step. The fast modes encode fewer: at most so many a second,
or none whose crop has hardly changed since the last one that was. Rows stay one for each frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.engines.batching import Batcher, Pending
from emorec_rt.errors import UsageError
from emorec_rt.windows.grid import DEFAULT_RATE_HZ
from emorec_rt.windows.pace import Pace

SIMILAR_CELLS: Final = 14
"""Crops are compared as this many grey cells on each side: noise averages out, a mouth that opens doesn't."""


@dataclass(frozen=True, slots=True)
class Thinning:
    """Frames to leave out; exact mode leaves out none.

    Attributes:
        vision_fps: Frames encoded in a second, at most; the steps between two of them get an embedding
            between theirs, by time. ``None`` encodes each.
        skip_similar: A crop of which no cell differs by more than so many grey levels from the crop that was
            encoded last reuses that embedding. ``None`` reuses none.
    """

    vision_fps: float | None = None
    skip_similar: float | None = None

    def __post_init__(self) -> None:
        """Refuse numbers that mean nothing.

        Raises:
            UsageError: No rate, or a difference below 0.
        """
        if self.vision_fps is not None and not self.vision_fps > 0.0:
            raise UsageError(f"vision_fps is {self.vision_fps}; it must be above 0")
        if self.skip_similar is not None and not self.skip_similar >= 0.0:
            raise UsageError(f"skip_similar is {self.skip_similar}; it must be 0 or more")


EXACT: Final = Thinning()


@dataclass(slots=True)
class Slot:
    """A step of the grid and the encoded frames that its embedding is interpolated between.

    Attributes:
        time_seconds: Presentation time of the step.
        decided: Whether ``before`` and ``after`` are final.
        before: Encoded frame at or before the step; ``None`` without a face.
        after: Encoded frame after it; ``None`` where ``before`` stands alone.
        share: Weight of ``after``.
    """

    time_seconds: float
    decided: bool = True
    before: Pending | None = None
    after: Pending | None = None
    share: float = 0.0

    @property
    def ready(self) -> bool:
        """Say whether the embedding can be computed."""
        frames = (self.before, self.after)
        return self.decided and all(frame is None or frame.outputs is not None for frame in frames)

    @property
    def embedding(self) -> NDArray[np.float32] | None:
        """float32 ``[D]``; ``None`` without a face."""
        early, late = (None if frame is None else frame.outputs for frame in (self.before, self.after))
        if early is None or late is None:
            return None if early is None else early["embeddings"]
        mixed = (1.0 - self.share) * early["embeddings"] + self.share * late["embeddings"]
        return np.asarray(mixed, np.float32)

    def hold(self, frame: Pending) -> None:
        """Take the embedding of one encoded frame."""
        self.before, self.decided = frame, True


class FrameEncoder:
    """Choose the frames to encode, in the order of their steps.

    Args:
        vision: Batcher of the vision encoder.
        thinning: Which frames to skip.
        interpolate: Whether steps between two encoded frames wait for the later one; live sources don't, and
            hold the earlier one's embedding.
        pace: How often frames are encoded; ``None`` keeps to ``thinning``.
        step_seconds: Time between two steps.
    """

    def __init__(
        self,
        vision: Batcher,
        thinning: Thinning,
        *,
        interpolate: bool,
        pace: Pace | None = None,
        step_seconds: float = 1.0 / DEFAULT_RATE_HZ,
    ) -> None:
        self._vision = vision
        self._pace = pace
        self._step_seconds = step_seconds
        self._thinned_seconds = 0.0 if thinning.vision_fps is None else 1.0 / thinning.vision_fps
        self._similar = thinning.skip_similar
        self._interpolate = interpolate
        self._key: Pending | None = None  # newest encoded frame
        self._key_frame: int | None = None
        self._key_seconds = 0.0
        self._due_seconds = -np.inf  # when the next frame is encoded
        self._between: list[Slot] = []  # undecided steps since the newest encoded frame
        self._last: tuple[Pending, NDArray[np.float32]] | None = None  # encoded last, and its cells

    @property
    def _period(self) -> float:
        """Seconds from one encoded frame to the next; 0 encodes each."""
        if self._pace is None or self._pace.stretch == 1.0:
            return self._thinned_seconds
        return max(self._thinned_seconds, self._step_seconds) * self._pace.stretch

    def add(self, slot: Slot, frame: int | None, pixels: NDArray[np.uint8] | None) -> None:
        """Add a step: the number of its frame and that frame's crop, uint8 ``[H, W, 3]``.

        Both are ``None`` without a picture, the crop without a face.
        """
        if pixels is None:
            self.finish()
            return
        if self._key is not None and frame == self._key_frame:
            slot.hold(self._key)  # one frame may stand for several steps
            return
        if self._key is not None and slot.time_seconds < self._due_seconds - 1e-6:
            self._leave_out(slot, self._key)
            return
        shot = self._shot(pixels)
        for skipped in self._between:
            share = (skipped.time_seconds - self._key_seconds) / (slot.time_seconds - self._key_seconds)
            skipped.before, skipped.after, skipped.share, skipped.decided = self._key, shot, share, True
        self._between.clear()
        # On a grid of its own, so that 10 of 25 frames a second are 10, not 25 / 3.
        late = self._key is None or slot.time_seconds > self._due_seconds + self._period
        self._due_seconds = (slot.time_seconds if late else self._due_seconds) + self._period
        self._key, self._key_seconds, self._key_frame = shot, slot.time_seconds, frame
        slot.hold(shot)

    def finish(self) -> None:
        """End a stretch with a face: the steps after the last encoded frame hold its embedding."""
        if self._key is not None:
            for slot in self._between:
                slot.hold(self._key)
        self._between.clear()
        self._key = None

    def _leave_out(self, slot: Slot, key: Pending) -> None:
        if self._interpolate:
            slot.decided = False
            self._between.append(slot)
        else:
            slot.hold(key)

    def _shot(self, pixels: NDArray[np.uint8]) -> Pending:
        if self._similar is None:
            return self._vision.submit({"frames": pixels})
        cells = _cells(pixels)
        if self._last is not None and np.abs(cells - self._last[1]).max() <= self._similar:
            return self._last[0]
        shot = self._vision.submit({"frames": pixels})
        self._last = shot, cells
        return shot


def _cells(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    grey = cv2.cvtColor(np.asarray(pixels), cv2.COLOR_RGB2GRAY)
    return np.asarray(
        cv2.resize(grey.astype(np.float32), (SIMILAR_CELLS, SIMILAR_CELLS), interpolation=cv2.INTER_AREA)
    )
