"""Build windows from one input's items: every frame that stands for a step is encoded once."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Preprocessing
from emorec_rt.engines.batching import Batcher
from emorec_rt.faces.cropped import CroppedFrame
from emorec_rt.media.types import Samples
from emorec_rt.windows.frames import FrameEncoder, Slot
from emorec_rt.windows.grid import DEFAULT_RATE_HZ, FrameGrid, SoundGrid, Step
from emorec_rt.windows.pace import Pace
from emorec_rt.windows.running import RunningNorm
from emorec_rt.windows.schedule import Schedule
from emorec_rt.windows.sound import SoundStream
from emorec_rt.windows.speakers import Speakers
from emorec_rt.windows.voice import Voice
from emorec_rt.windows.window import Window

MAX_STEP_SECONDS = 0.2
"""A step's audio tokens are spread over its duration, but over no more than this."""


class WindowBuilder:
    """Turn one person's frames and the input's sound into windows.

    ``push`` items in presentation order, then ``finish``. Sound goes to the ``SoundStream`` first, which the
    persons of one input share; here it only sets the grid where there is no picture.

    Args:
        preprocessing: The bundle's or the checkpoint's.
        schedule: When windows and chunks are cut.
        vision: Batcher of the vision encoder.
        sound: The input's sound.
        has_video: Whether frames are to be expected; without, the grid follows the sound.
        vision_fps: Frames encoded in a second, at most.
        pace: How often frames are encoded; ``None`` leaves none out.
        speakers: Who speaks when, where several people may be in the picture.

    Attributes:
        person: Identity by which ``speakers`` knows the person.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        schedule: Schedule,
        vision: Batcher,
        sound: SoundStream,
        *,
        has_video: bool,
        vision_fps: float | None = None,
        pace: Pace | None = None,
        speakers: Speakers | None = None,
    ) -> None:
        self.person = 0
        self._speakers = speakers
        self._spec = preprocessing
        self._schedule = schedule
        self._encoder = FrameEncoder(
            vision,
            vision_fps,
            waits=not schedule.causal_smoothing,
            pace=pace,
            step_seconds=self._default_period,
        )
        self._sound = sound
        self._voice = Voice(preprocessing, sound, self._owned)
        face = preprocessing.normalization.vision
        self._face = None if face is None else RunningNorm(face)
        self._seen = 0  # steps before this one are in its statistics
        self._frame_grid = FrameGrid(preprocessing.grid) if has_video else None
        self._sound_grid = SoundGrid(preprocessing.grid)
        self._slots: list[Slot] = []
        self._first = 0  # step index of the leftmost slot
        self._next_end = schedule.first_end  # end of the next regular window
        self._newest: dict[int, NDArray[np.uint8] | None] = {}  # crops, until no step can take them
        self._finished = False
        self._done = False

    @property
    def done(self) -> bool:
        """Say whether ``ready`` has given the last window."""
        return self._done

    @property
    def oldest_seconds(self) -> float:
        """Time of the first step that a later window may take; the sound before it can be forgotten."""
        return self._slots[0].time_seconds if self._slots else -math.inf

    def push(self, item: CroppedFrame | Samples) -> None:
        """Add an item; encoders run as batches fill."""
        if isinstance(item, CroppedFrame):
            self._push_frame(item)
        elif self._frame_grid is None:
            self._follow_sound(item.pts_seconds)

    def finish(self) -> None:
        """End the input. Windows that wait for a batch are ready when it has run."""
        self._encoder.finish()
        if not self._slots and self._first == 0 and self._sound.begin_seconds is not None:
            self._follow_sound(self._sound.begin_seconds)  # no frame of the video could be decoded
        self._finished = True
        self._newest.clear()

    def _follow_sound(self, begin_seconds: float) -> None:
        for step in self._sound_grid.push(begin_seconds, self._sound.end_seconds):
            self._add_step(step)

    def _push_frame(self, frame: CroppedFrame) -> None:
        if self._frame_grid is None:
            return
        self._newest[frame.index] = frame.crop.pixels
        for step in self._frame_grid.push(frame.index, frame.pts_seconds):
            self._add_step(step)
        for index in [index for index in self._newest if index < frame.index]:
            del self._newest[index]

    def _add_step(self, step: Step) -> None:
        pixels = None if step.frame is None else self._newest[step.frame]
        slot = Slot(step.time_seconds)
        self._slots.append(slot)
        self._encoder.add(slot, step.frame, pixels)

    def ready(self) -> Iterator[Window]:
        """Yield the windows that have become complete."""
        T = self._spec.window.steps
        total = self._first + len(self._slots)
        while not self._done and self._next_end <= total:
            end = self._next_end
            if not self._complete(max(end - T, 0), end):
                return
            self._next_end += self._schedule.hop
            yield self._window(max(end - T, 0), end, settles=max(end - self._schedule.lookahead, 0))
        if self._finished and not self._done:
            yield from self._last(max(total - T, self._first), total)

    def _last(self, start: int, total: int) -> Iterator[Window]:
        """The last window ends at the last step, so that no step sees less context than it could."""
        if total > self._first and not self._complete(start, total):
            return
        self._done = True
        if total > self._first:
            yield self._window(start, total, settles=total)

    def _complete(self, start: int, end: int) -> bool:
        slots = self._slots[start - self._first : end - self._first]
        if not all(slot.ready for slot in slots):
            return False
        last = self._default_period  # of a step that padding follows
        if end - start == self._spec.window.steps > 1:
            last = min(slots[-1].time_seconds - slots[-2].time_seconds, MAX_STEP_SECONDS)
        until = slots[-1].time_seconds + last
        return self._sound.ready(until, newest_seconds=self._slots[-1].time_seconds)

    def _window(self, start: int, end: int, settles: int) -> Window:
        T, per_step = self._spec.window.steps, self._spec.window.tokens_per_step
        slots = self._slots[start - self._first : end - self._first]
        count = end - start
        times = _padded_times([slot.time_seconds for slot in slots], T, self._default_period)
        embeddings, mask = self._embeddings(start, slots)
        tokens = np.zeros((T * per_step, self._spec.audio.embedding_dim), np.float32)
        audio_mask = np.zeros(T * per_step, np.float32)
        heard, heard_mask = self._voice.gather(_token_times(times, per_step)[: count * per_step])
        tokens[: len(heard)], audio_mask[: len(heard)] = heard, heard_mask
        self._forget()
        left_out = np.array([slot.interpolated for slot in slots])
        return Window(start, count, settles, times, embeddings, mask, tokens, audio_mask, left_out)

    def _owned(self, times_seconds: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Say whether the sound is this person's, bool ``[S]``."""
        if self._speakers is None:
            return np.ones(len(times_seconds), np.bool_)
        return self._speakers.mask(self.person, times_seconds) > 0.0

    def _embeddings(
        self, start: int, slots: Sequence[Slot]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The steps' embeddings ``[T, Dv]`` and their mask ``[T]``, normalised by what was seen so far."""
        T = self._spec.window.steps
        embeddings = np.zeros((T, self._spec.vision.embedding_dim), np.float32)
        mask = np.zeros(T, np.float32)
        for k, slot in enumerate(slots):
            if (embedding := slot.embedding) is not None:
                embeddings[k], mask[k] = embedding, 1.0
        if self._face is not None:
            new = np.arange(T) >= self._seen - start
            self._face.add(embeddings[new & (mask > 0)])
            self._seen = start + len(slots)
            embeddings[mask > 0] = self._face.apply(embeddings[mask > 0])
        return embeddings, mask

    @property
    def _default_period(self) -> float:
        return 1.0 / (self._spec.grid.rate_hz or DEFAULT_RATE_HZ)

    def _forget(self) -> None:
        """Drop steps that neither the next window nor the last one will take."""
        total = self._first + len(self._slots)
        keep_from = min(self._next_end, total) - self._spec.window.steps
        if keep_from > self._first:
            del self._slots[: keep_from - self._first]
            self._first = keep_from


def _padded_times(times: list[float], length: int, period: float) -> NDArray[np.float64]:
    missing = np.arange(1, length - len(times) + 1)
    return np.concatenate([np.asarray(times), times[-1] + period * missing])


def _token_times(times: NDArray[np.float64], per_step: int) -> NDArray[np.float64]:
    """Spread ``per_step`` token times over each step's duration: float64 ``[T * per_step]``."""
    durations = np.diff(times, append=times[-1] + (times[-1] - times[-2] if len(times) > 1 else 0.0))
    durations = np.minimum(durations, MAX_STEP_SECONDS)
    return np.asarray(times[:, None] + durations[:, None] * np.arange(per_step) / per_step).ravel()
