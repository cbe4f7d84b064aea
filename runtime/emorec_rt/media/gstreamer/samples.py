"""GStreamer's buffers as frames and samples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import MediaError
from emorec_rt.media import Frame, MediaItem, MediaLimits, Samples
from emorec_rt.media.gstreamer.library import GStreamer
from emorec_rt.media.sound import GAP_SECONDS
from emorec_rt.media.video import DEFAULT_FPS, MIN_STEP_SECONDS

MAX_EARLY: Final = 1000
"""Blocks of sound that wait for the first picture."""

_NANOSECONDS: Final = 1e-9


class FrameMaker:
    """Frames of one connection; their times strictly increase.

    Args:
        gstreamer: The modules.
        name: What messages call the source.
        limits: What is refused of a picture.
    """

    def __init__(self, gstreamer: GStreamer, name: str, limits: MediaLimits) -> None:
        self._gstreamer = gstreamer
        self._name = name
        self._limits = limits
        self._last_seconds: float | None = None
        self.count = 0

    def frame(self, sample: Any) -> Frame:
        """The next frame.

        Raises:
            MediaError: Its picture is larger than the limits allow, or can't be read.
        """
        pixels = self._pixels(sample)
        frame = Frame(self.count, self._place(seconds_of(self._gstreamer, sample)), pixels)
        self.count += 1
        return frame

    def _place(self, seconds: float | None) -> float:
        last = self._last_seconds
        expected = 0.0 if last is None else last + 1.0 / DEFAULT_FPS
        placed = expected if seconds is None else seconds
        if last is not None and placed <= last:
            placed = last + MIN_STEP_SECONDS
        self._last_seconds = placed
        return placed

    def _pixels(self, sample: Any) -> NDArray[np.uint8]:
        info = self._gstreamer.video.VideoInfo.new_from_caps(sample.get_caps())
        width, height = info.width, info.height
        if width * height > self._limits.max_pixels:
            limit = f"over the limit of {self._limits.max_pixels} pixels"
            raise MediaError(self._name, f"the picture has {width}x{height} pixels, {limit}")
        buffer = sample.get_buffer()
        meta = self._gstreamer.video.buffer_get_video_meta(buffer)
        stride = meta.stride[0] if meta is not None else info.stride[0]
        channels = info.finfo.pixel_stride[0]
        data = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), np.uint8)
        rows = np.lib.stride_tricks.as_strided(
            data, (height, width, channels), (stride, channels, 1), writeable=False
        )
        if len(data) < stride * (height - 1) + width * channels:
            raise MediaError(self._name, "a picture is shorter than its size says")
        if channels == 3:
            return np.ascontiguousarray(rows)
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(rows), cv2.COLOR_BGRA2RGB), np.uint8)


class SoundMaker:
    """Blocks of sound of one connection, which don't overlap.

    Times that jitter by less than ``GAP_SECONDS`` count as continuous. Times that go on by less than half of
    the sound between them, as in a burst after a pause of the network, are not a clock, and the sound is
    continued. All other overlaps are cut off.
    """

    def __init__(self, gstreamer: GStreamer) -> None:
        self._gstreamer = gstreamer
        self._shift_seconds = 0.0
        self._end_seconds: float | None = None
        self._last_seconds = 0.0
        self._last_length = 0.0
        self.count = 0

    def samples(self, sample: Any) -> Samples | None:
        """The next block; ``None`` for an empty one."""
        buffer = sample.get_buffer()
        pcm = np.frombuffer(buffer.extract_dup(0, buffer.get_size()), "<f4").astype(np.float32)
        self.count += 1
        return self.placed(seconds_of(self._gstreamer, sample), pcm)

    def placed(self, seconds: float | None, pcm: NDArray[np.float32]) -> Samples | None:
        """A block at its place; ``None`` where nothing is left of it.

        Args:
            seconds: Its time; ``None`` where it has none.
            pcm: float32 ``[N]``.
        """
        start = self._start(seconds)
        self._last_length = len(pcm) / SAMPLE_RATE_HZ
        ahead = 0.0 if self._end_seconds is None else start - self._end_seconds
        if abs(ahead) <= GAP_SECONDS:
            start -= ahead
        elif ahead < 0.0:
            pcm, start = pcm[round(-ahead * SAMPLE_RATE_HZ) :], start - ahead
        self._end_seconds = start + len(pcm) / SAMPLE_RATE_HZ
        return Samples(start, np.clip(pcm, -1.0, 1.0)) if len(pcm) else None

    def _start(self, seconds: float | None) -> float:
        end = self._end_seconds
        if seconds is None:
            return end or 0.0
        if end is not None and seconds - self._last_seconds < self._last_length / 2:
            self._shift_seconds = end - seconds
        self._last_seconds = seconds
        return seconds + self._shift_seconds


def seconds_of(gstreamer: GStreamer, sample: Any) -> float | None:
    """Presentation time of a buffer on the clock that all tracks share; ``None`` where it has none."""
    gst = gstreamer.gst
    pts, segment = sample.get_buffer().pts, sample.get_segment()
    if pts == gst.CLOCK_TIME_NONE:
        return None
    # Stream time is the container's own, with its edit lists applied; outside of the segment there is none.
    placed = segment.to_stream_time(gst.Format.TIME, pts) if segment.format == gst.Format.TIME else pts
    return float(pts if placed == gst.CLOCK_TIME_NONE else placed) * _NANOSECONDS


def aligned(items: Iterator[MediaItem], first_seconds: float | None) -> Iterator[MediaItem]:
    """Move both tracks so that the first picture is where the container puts it.

    GStreamer's demuxers each have their own idea of where a file begins.

    Args:
        items: Frames and sound.
        first_seconds: Time of the first picture; ``None`` leaves everything where it is.
    """
    early: list[MediaItem] = []
    shift = 0.0
    if first_seconds is not None:
        for item in items:
            early.append(item)
            if not isinstance(item, Samples) or len(early) == MAX_EARLY:
                shift = 0.0 if isinstance(item, Samples) else first_seconds - item.pts_seconds
                break
    for item in chain(early, items):
        yield replace(item, pts_seconds=item.pts_seconds + shift) if shift else item
