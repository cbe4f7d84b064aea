"""Build windows from one input's items: every frame that stands for a step is encoded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from emorec_rt.audio import Chunk
from emorec_rt.batching import Batcher, Item
from emorec_rt.frame_encoding import EXACT, FrameEncoder, Slot, Thinning
from emorec_rt.grid import DEFAULT_RATE_HZ, FrameGrid, SoundGrid, Step
from emorec_rt.manifest import Preprocessing
from emorec_rt.media.types import Samples
from emorec_rt.schedule import Schedule
from emorec_rt.tokens import TokenTimeline
from emorec_rt.window import CroppedFrame, Window

MAX_STEP_SECONDS = 0.2
"""A step's audio tokens are spread over its duration, but over no more than this."""


class WindowBuilder:
    """Turn one input's items into windows. Feed it in presentation order, then ``finish`` it.

    Args:
        preprocessing: The bundle's or the checkpoint's.
        schedule: When windows and chunks are cut.
        vision: Batcher of the vision encoder.
        audio: Batcher of the audio encoder.
        has_video: Whether frames are to be expected; without, the grid follows the sound.
        has_sound: Whether samples are to be expected.
        emit: Called with each window, in order.
        thinning: Which frames to leave out.
    """

    def __init__(
        self,
        preprocessing: Preprocessing,
        schedule: Schedule,
        vision: Batcher,
        audio: Batcher,
        *,
        has_video: bool,
        has_sound: bool,
        emit: Callable[[Window], None],
        thinning: Thinning = EXACT,
    ) -> None:
        self._spec = preprocessing
        self._schedule = schedule
        self._encoder = FrameEncoder(
            vision, thinning, interpolate=not schedule.causal_smoothing, changed=self._advance
        )
        self._audio = audio
        self._emit = emit
        self._frame_grid = FrameGrid(preprocessing.grid) if has_video else None
        self._sound_grid = SoundGrid(preprocessing.grid)
        self._tokens = TokenTimeline(preprocessing.audio, schedule)
        if not has_sound:
            self._tokens.finish()
        self._slots: list[Slot] = []
        self._first = 0  # step index of the leftmost slot
        self._next_end = schedule.first_end  # end of the next regular window
        self._newest: dict[int, NDArray[np.uint8] | None] = {}  # crops, until no step can take them
        self._sound_end = -np.inf
        self._finished = False
        self._done = False

    @property
    def done(self) -> bool:
        """Whether the last window has been emitted."""
        return self._done

    def push(self, item: CroppedFrame | Samples) -> None:
        """Add an item; encoders run as batches fill, and windows are emitted as they become complete."""
        if isinstance(item, Samples):
            self._push_samples(item)
        else:
            self._push_frame(item)
        self._advance()

    def finish(self) -> None:
        """No more items will come. Windows that wait for a batch are emitted when it has run."""
        self._encode_chunks(self._tokens.chunker.finish())
        self._tokens.finish()
        self._encoder.finish()
        if not self._slots and self._first == 0:
            self._follow_sound()
        self._finished = True
        self._newest.clear()
        self._advance()

    def _follow_sound(self) -> None:
        """A video track of which no frame could be decoded leaves the sound to set the grid."""
        chunker = self._tokens.chunker
        if chunker.origin_seconds is not None:
            for step in self._sound_grid.push(chunker.origin_seconds, self._sound_end):
                self._add_step(step)

    def _push_frame(self, frame: CroppedFrame) -> None:
        if self._frame_grid is None:
            return
        self._newest[frame.index] = frame.crop.pixels
        for step in self._frame_grid.push(frame.index, frame.pts_seconds):
            self._add_step(step)
        for index in [index for index in self._newest if index < frame.index]:
            del self._newest[index]

    def _push_samples(self, block: Samples) -> None:
        chunks = self._tokens.chunker.push(block)
        self._sound_end = self._tokens.chunker.end_seconds
        if self._frame_grid is None:
            for step in self._sound_grid.push(block.pts_seconds, self._sound_end):
                self._add_step(step)
        self._encode_chunks(chunks)

    def _add_step(self, step: Step) -> None:
        pixels = None if step.frame is None else self._newest[step.frame]
        slot = Slot(step.time_seconds, waiting=pixels is not None)
        self._slots.append(slot)
        self._encoder.add(slot, step.frame, pixels)

    def _encode_chunks(self, chunks: Sequence[Chunk]) -> None:
        for chunk in chunks:
            self._tokens.expect(chunk)  # all first: encoding one may complete a window that needs the next
        for chunk in chunks:
            self._encode_chunk(chunk)

    def _encode_chunk(self, chunk: Chunk) -> None:
        context, core = self._schedule.left_tokens, self._tokens.chunker.core

        def done(outputs: Item) -> None:
            self._tokens.store(chunk, outputs["tokens"][context : context + core])
            self._advance()

        self._audio.submit({"samples": chunk.samples}, done)

    def _advance(self) -> None:
        """Emit every window that has become complete."""
        T = self._spec.window.steps
        total = self._first + len(self._slots)
        while not self._done and self._next_end <= total:
            end = self._next_end
            if not self._ready(max(end - T, 0), end):
                return
            self._next_end += self._schedule.hop
            self._emit_window(max(end - T, 0), end, settles=max(end - self._schedule.lookahead, 0))
        if self._finished and not self._done:
            self._emit_last(max(total - T, self._first), total)

    def _emit_last(self, start: int, total: int) -> None:
        """The last window ends at the last step, so that no step sees less context than it could."""
        if total > self._first and not self._ready(start, total):
            return
        self._done = True  # before the window leaves: whoever gets it may ask
        if total > self._first:
            self._emit_window(start, total, settles=total)

    def _ready(self, start: int, end: int) -> bool:
        slots = self._slots[start - self._first : end - self._first]
        if any(slot.waiting for slot in slots):
            return False
        last = self._default_period  # of a step that padding follows
        if end - start == self._spec.window.steps > 1:
            last = min(slots[-1].time_seconds - slots[-2].time_seconds, MAX_STEP_SECONDS)
        until = slots[-1].time_seconds + last
        return self._tokens.ready(until, newest_seconds=self._slots[-1].time_seconds)

    def _emit_window(self, start: int, end: int, settles: int) -> None:
        T, per_step = self._spec.window.steps, self._spec.window.tokens_per_step
        slots = self._slots[start - self._first : end - self._first]
        count = end - start
        times = _padded_times([slot.time_seconds for slot in slots], T, self._default_period)
        embeddings = np.zeros((T, self._spec.vision.embedding_dim), np.float32)
        mask = np.zeros(T, np.float32)
        for k, slot in enumerate(slots):
            if slot.embedding is not None:
                embeddings[k], mask[k] = slot.embedding, 1.0
        tokens, audio_mask = self._tokens.gather(_token_times(times, per_step))
        audio_mask[count * per_step :] = 0.0
        tokens[count * per_step :] = 0.0
        self._emit(Window(start, count, settles, times, embeddings, mask, tokens, audio_mask))
        self._forget()

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
        if self._slots:
            self._tokens.forget(self._slots[0].time_seconds)


def _padded_times(times: list[float], length: int, period: float) -> NDArray[np.float64]:
    missing = np.arange(1, length - len(times) + 1)
    return np.concatenate([np.asarray(times), times[-1] + period * missing])


def _token_times(times: NDArray[np.float64], per_step: int) -> NDArray[np.float64]:
    """Spread ``per_step`` token times over each step's duration: float64 ``[T * per_step]``."""
    durations = np.diff(times, append=times[-1] + (times[-1] - times[-2] if len(times) > 1 else 0.0))
    durations = np.minimum(durations, MAX_STEP_SECONDS)
    return np.asarray(times[:, None] + durations[:, None] * np.arange(per_step) / per_step).ravel()
