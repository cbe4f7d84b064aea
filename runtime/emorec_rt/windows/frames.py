"""Choice of the frames to encode, and embeddings of the steps between them.

Exact mode encodes each frame that stands for a step. The fast modes encode fewer: at most so many a second,
or as many as there is time for. Rows stay one for each frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.engines.batching import Batcher, Pending
from emorec_rt.windows.change import Change
from emorec_rt.windows.grid import DEFAULT_RATE_HZ
from emorec_rt.windows.pace import Pace

LONGEST_GAP_SECONDS: Final = 1.0
"""However late, a frame is encoded after so long a time without."""


@dataclass(slots=True)
class Slot:
    """A step of the grid and the encoded frames that its embedding is interpolated between.

    Attributes:
        time_seconds: Presentation time of the step.
        decided: Whether there will be an embedding, or none for good.
        interpolated: Whether its own frame was left out.
        before: Encoded frame at or before the step; ``None`` without a face.
        after: Encoded frame after it; ``None`` where ``before`` stands alone.
        share: Weight of ``after``.
    """

    time_seconds: float
    decided: bool = True
    interpolated: bool = False
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
        vision_fps: Frames encoded in a second, at most; ``None`` sets no limit.
        waits: Whether steps between two encoded frames wait for the later one; those of live sources hold the
            earlier one's embedding until it comes.
        pace: How often frames are encoded; ``None`` leaves none out.
        step_seconds: Time between two steps.
    """

    def __init__(
        self,
        vision: Batcher,
        vision_fps: float | None = None,
        *,
        waits: bool,
        pace: Pace | None = None,
        step_seconds: float = 1.0 / DEFAULT_RATE_HZ,
    ) -> None:
        self._vision = vision
        self._pace = pace
        self._step_seconds = step_seconds
        self._limited_seconds = 0.0 if vision_fps is None else 1.0 / vision_fps
        self._waits = waits
        self._change = Change()
        self._key: Pending | None = None  # newest encoded frame
        self._key_frame: int | None = None
        self._key_seconds = 0.0
        self._due_seconds = -np.inf  # when the next frame is encoded
        self._between: list[Slot] = []  # steps since the newest encoded frame

    @property
    def _period(self) -> float:
        """Seconds from one encoded frame to the next; 0 encodes each."""
        if self._pace is None or self._pace.stretch == 1.0:
            return self._limited_seconds
        return max(self._limited_seconds, self._step_seconds) * self._pace.stretch

    def add(self, slot: Slot, frame: int | None, pixels: NDArray[np.uint8] | None) -> None:
        """Add a step: the number of its frame and that frame's crop, uint8 ``[H, W, 3]``.

        Both are ``None`` without a picture, the crop without a face.
        """
        if pixels is None:
            self.finish()
        elif self._key is None:
            self._encode(slot, frame, pixels)
        elif frame == self._key_frame:
            slot.hold(self._key)  # one frame may stand for several steps
        elif self._wanted(slot.time_seconds, pixels):
            self._encode(slot, frame, pixels)
        else:
            self._leave_out(slot, self._key)

    def finish(self) -> None:
        """End a stretch with a face: the steps after the last encoded frame hold its embedding."""
        if self._key is not None:
            for slot in self._between:
                slot.hold(self._key)
        self._between.clear()
        self._key = None

    def _wanted(self, time_seconds: float, pixels: NDArray[np.uint8]) -> bool:
        """Whether to encode a frame: it is due, or the face has changed and the next one can wait for it."""
        if self._pace is not None and self._pace.behind:
            return time_seconds - self._key_seconds > LONGEST_GAP_SECONDS
        period = self._period  # it may have become shorter since the last one was encoded
        early_seconds = min(self._due_seconds, self._key_seconds + 2 * period) - time_seconds
        sudden = self._pace is not None and self._pace.stretch > 1.0 and self._change.sudden(pixels)
        return early_seconds <= 1e-6 or (sudden and early_seconds <= period)

    def _encode(self, slot: Slot, frame: int | None, pixels: NDArray[np.uint8]) -> None:
        shot = self._vision.submit({"frames": pixels})
        for skipped in self._between:
            skipped.after, skipped.decided = shot, True
            skipped.share = (skipped.time_seconds - self._key_seconds) / (
                slot.time_seconds - self._key_seconds
            )
        self._between.clear()
        # On a grid of its own, so that 10 of 25 frames a second are 10, not 25 / 3.
        late = self._key is None or slot.time_seconds > self._due_seconds + self._period
        self._due_seconds = (slot.time_seconds if late else self._due_seconds) + self._period
        self._key, self._key_seconds, self._key_frame = shot, slot.time_seconds, frame
        slot.hold(shot)

    def _leave_out(self, slot: Slot, key: Pending) -> None:
        slot.before, slot.decided, slot.interpolated = key, not self._waits, True
        self._between.append(slot)
