"""Own frames and own sound: a session into which a program pushes what it has."""

from __future__ import annotations

import asyncio
import math
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import UsageError
from emorec_rt.faces import FaceCropper
from emorec_rt.faces.cropped import cropped
from emorec_rt.media.segment import LIVE_BLOCK_SECONDS, Segment
from emorec_rt.media.types import Frame
from emorec_rt.recognizer.batchers import Batchers
from emorec_rt.recognizer.clip import Clip
from emorec_rt.windows.prediction import Prediction

LARGEST_SIDE: Final = 16_384
"""Longer side of a frame in pixels."""

MOST_CHANNELS: Final = 64
RATES_HZ: Final = (4_000, 768_000)
GAP_SECONDS: Final = 0.1
"""Difference of a block's time from the end of the last one that is taken for jitter."""

WAIT_SECONDS: Final = 0.25
"""Time between two looks for new rows while nothing is pushed."""


class LiveSession:
    """One stream of frames and sound that a program pushes; made by ``Recognizer.open``.

    Frames and sound may come from different threads; rows may be taken in a third. Times are seconds on one
    clock of the caller's choice, which frames and sound share. Use it as a context manager, or ``close`` it::

        with recognizer.open() as session:
            for seconds, rgb in my_camera():
                session.push_frame(rgb, seconds)
                for row in session.rows():
                    print(row.time_seconds, row.label)

    Args:
        clip: State of the stream.
        batchers: The engines.
        cropper: A cropper of its own, and what gives its detector back.
        refuse_fork: Raises in a process that was forked.
    """

    def __init__(
        self,
        clip: Clip,
        batchers: Batchers,
        cropper: AbstractContextManager[FaceCropper],
        refuse_fork: Callable[[], None],
    ) -> None:
        self._clip = clip
        self._batchers = batchers
        self._cropper_context = cropper
        self._cropper = cropper.__enter__()
        self._refuse_fork = refuse_fork
        self._changed = threading.Condition()
        self._rows: deque[Prediction] = deque()
        self._frames = 0
        self._frame_seconds = -math.inf
        self._segment: Segment | None = None
        self._pushed = False
        self._closed = False

    def push_frame(self, rgb: NDArray[np.uint8], seconds: float) -> None:
        """Take a frame.

        Args:
            rgb: uint8 ``[H, W, 3]``, RGB (OpenCV gives BGR: ``frame[..., ::-1]``), or uint8 ``[H, W]``, grey.
                The size may change between frames.
            seconds: Presentation time; later than the last frame's.

        Raises:
            UsageError: The array is of another kind, the time goes backwards, or the session is closed.
        """
        pixels = _checked_frame(rgb)
        with self._open():
            time = _checked_time(seconds, self._frame_seconds, "frame")
            frame = Frame(self._frames, time, pixels)
            self._clip.push(cropped(frame, self._cropper))
            self._frames += 1
            self._frame_seconds = time
            self._note()

    def push_sound(self, samples: NDArray[Any], seconds: float, rate_hz: int = SAMPLE_RATE_HZ) -> None:
        """Take a block of sound.

        Args:
            samples: float32 or float64 in [-1, 1], or int16; ``[N]`` or ``[N, channels]``, then averaged.
            seconds: Presentation time of the first sample.
            rate_hz: Samples a second of each channel; what is not 16 kHz is resampled.

        Raises:
            UsageError: The array or the rate is of another kind, the time goes backwards, or the session is
                closed.
        """
        pcm = _checked_sound(samples, rate_hz)
        with self._open():
            segment = self._continued(_checked_time(seconds, -math.inf, "sound"), rate_hz)
            for block in segment.push(pcm):
                self._clip.push(block)
            self._note()

    def rows(self) -> list[Prediction]:
        """Take the rows that have become final since the last call; doesn't wait for frames.

        Raises:
            EngineError: An engine failed.
        """
        with self._changed:
            self._settle()
            taken = list(self._rows)
            self._rows.clear()
            return taken

    def close(self) -> list[Prediction]:
        """End the stream and take its last rows; further calls give none.

        Raises:
            EngineError: An engine failed.
        """
        with self._changed:
            if not self._closed:
                self._closed = True
                try:
                    self._finish()
                finally:
                    self._cropper_context.__exit__(None, None, None)
            self._changed.notify_all()
        return self.rows()

    @property
    def closed(self) -> bool:
        """Say whether ``close`` was called."""
        return self._closed

    def __enter__(self) -> LiveSession:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._closed:
            last = self.close()
            with self._changed:
                self._rows.extendleft(reversed(last))  # for whoever still iterates

    def __iter__(self) -> Iterator[Prediction]:
        """Yield rows as they become final, until the session is closed by another thread."""
        while True:
            rows, ended = self._wait()
            yield from rows
            if ended and not rows:
                return

    async def __aiter__(self) -> AsyncIterator[Prediction]:
        """Yield rows as they become final, until the session is closed; the event loop is not blocked."""
        while True:
            rows, ended = await asyncio.to_thread(self._wait)
            for row in rows:
                yield row
            if ended and not rows:
                return

    def _wait(self) -> tuple[list[Prediction], bool]:
        with self._changed:
            self._changed.wait_for(lambda: self._pushed or self._closed or self._rows, WAIT_SECONDS)
            ended = self._closed
        return self.rows(), ended

    def _open(self) -> threading.Condition:
        self._refuse_fork()
        if self._closed:
            raise UsageError("this session is closed; open another one")
        return self._changed

    def _note(self) -> None:
        self._batchers.poll()
        self._pushed = True
        self._changed.notify_all()

    def _continued(self, seconds: float, rate_hz: int) -> Segment:
        """The run of sound that a block belongs to; a gap or another rate starts a new one."""
        segment = self._segment
        if segment is not None:
            ahead = seconds - segment.end_seconds
            if segment.rate_hz == rate_hz and abs(ahead) <= GAP_SECONDS:
                return segment
            if ahead < -GAP_SECONDS:
                raise UsageError(
                    f"sound at {seconds:.3f} s after sound until {segment.end_seconds:.3f} s: "
                    "times go backwards"
                )
            for block in segment.finish():
                self._clip.push(block)
        self._segment = Segment(seconds, rate_hz, LIVE_BLOCK_SECONDS)
        return self._segment

    def _settle(self) -> None:
        if not self._pushed:
            return
        self._pushed = False
        self._batchers.flush_encoders()
        self._clip.fuse()
        self._batchers.fusion.flush()
        self._rows.extend(self._clip.settled())

    def _finish(self) -> None:
        if self._segment is not None:
            for block in self._segment.finish():
                self._clip.push(block)
        self._clip.finish()
        self._pushed = True
        self._settle()
        self._pushed = True  # what the last windows held back
        self._settle()


def _kind(value: object) -> str:
    return f"{value.dtype} {list(value.shape)}" if isinstance(value, np.ndarray) else type(value).__name__


def _checked_frame(rgb: object) -> NDArray[np.uint8]:
    if isinstance(rgb, np.ndarray) and rgb.dtype == np.uint8:
        colour = np.repeat(rgb[:, :, None], 3, axis=2) if rgb.ndim == 2 else rgb
        if (
            colour.ndim == 3
            and colour.shape[2] == 3
            and min(colour.shape) >= 1
            and max(colour.shape) <= LARGEST_SIDE
        ):
            return np.ascontiguousarray(colour)
    raise UsageError(f"a frame must be a uint8 array [H, W, 3] in RGB; this is {_kind(rgb)}")


def _checked_sound(samples: object, rate_hz: object) -> NDArray[np.float32]:
    least, most = RATES_HZ
    if not isinstance(rate_hz, int) or isinstance(rate_hz, bool) or not least <= rate_hz <= most:
        raise UsageError(f"rate_hz is {rate_hz!r}; it must be a whole number from {least} to {most}")
    kinds = (np.float32, np.float64, np.int16)
    if not isinstance(samples, np.ndarray) or samples.dtype not in kinds or samples.ndim not in (1, 2):
        raise UsageError(
            f"sound must be a float32 or int16 array [N] or [N, channels]; this is {_kind(samples)}"
        )
    if samples.ndim == 2 and not 1 <= samples.shape[1] <= MOST_CHANNELS:
        raise UsageError(f"sound must have 1 to {MOST_CHANNELS} channels; this is {_kind(samples)}")
    pcm = samples.astype(np.float32) / (32768.0 if samples.dtype == np.int16 else 1.0)
    mono = pcm if pcm.ndim == 1 else pcm.mean(axis=1)
    return np.asarray(np.nan_to_num(np.clip(mono, -1.0, 1.0)), np.float32)


def _checked_time(seconds: object, after: float, what: str) -> float:
    number = isinstance(seconds, (int, float, np.floating, np.integer)) and not isinstance(seconds, bool)
    if not number or not math.isfinite(seconds):  # type: ignore[arg-type]
        raise UsageError(f"the time of a {what} is {seconds!r}; it must be a number of seconds")
    time = float(seconds)  # type: ignore[arg-type]
    if time <= after:
        raise UsageError(f"{what} at {time:.3f} s after one at {after:.3f} s: times must grow")
    return time
