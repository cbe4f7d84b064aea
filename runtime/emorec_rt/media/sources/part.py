"""Part of a source: the time between two instants, and a region of the picture."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import replace

from emorec_rt.constants import SAMPLE_RATE_HZ
from emorec_rt.errors import MediaError
from emorec_rt.media import Frame, MediaItem, MissingFrame, Samples
from emorec_rt.media.reading import Reading
from emorec_rt.media.sources.base import Source, SourceOptions


def part_of(source: Source, options: SourceOptions) -> Source:
    """The part that the options ask for; the source itself where they ask for all of it."""
    whole = options.start_seconds is None and options.end_seconds is None and options.region is None
    return source if whole else PartSource(source, options)


class PartSource(Reading):
    """Yield what lies in ``[start_seconds, end_seconds)``, frames cut to the region.

    Frames keep their number and time: rows of a part are those of the whole. What comes before the start is
    decoded and dropped.

    Args:
        source: The whole.
        options: Which part.
    """

    def __init__(self, source: Source, options: SourceOptions) -> None:
        self._source = source
        self._start = -math.inf if options.start_seconds is None else options.start_seconds
        self._end = math.inf if options.end_seconds is None else options.end_seconds
        self._region = options.region
        self._frames_left, self._sound_left = source.has_video, source.has_sound
        super().__init__()

    name = property(lambda self: self._source.name)
    live = property(lambda self: self._source.live)
    has_video = property(lambda self: self._source.has_video)
    has_sound = property(lambda self: self._source.has_sound)
    warnings = property(lambda self: self._source.warnings)

    @property
    def duration_seconds(self) -> float | None:
        """Length of the part, as far as it is told beforehand."""
        whole = self._source.duration_seconds
        if whole is None:
            return None if math.isinf(self._end) else self._end - max(self._start, 0.0)
        return max(min(self._end, whole) - max(self._start, 0.0), 0.0)

    def close(self) -> None:
        """End the iterator, from any thread."""
        self._source.close()

    def _iterate(self) -> Generator[MediaItem, None, None]:
        given = False
        for item in self._source:
            cut = self._sound(item) if isinstance(item, Samples) else self._frame(item)
            if cut is not None:
                given = True
                yield cut
            if not (self._frames_left or self._sound_left):
                break
        if not given:
            raise MediaError(self.name, "has nothing between --start and --end")

    def _frame(self, frame: Frame | MissingFrame) -> Frame | MissingFrame | None:
        if frame.pts_seconds >= self._end:
            self._frames_left = False
        if not self._start <= frame.pts_seconds < self._end:
            return None
        return self._cut(frame) if isinstance(frame, Frame) and self._region else frame

    def _cut(self, frame: Frame) -> Frame:
        assert self._region is not None  # noqa: S101 - the caller has looked
        left, top, width, height = self._region
        whole_height, whole_width = frame.pixels.shape[:2]
        if left >= whole_width or top >= whole_height:
            size = f"{whole_width}x{whole_height}"
            raise MediaError(self.name, f"its picture is {size}; --region begins outside of it")
        return replace(
            frame, pixels=frame.pixels[top : top + height, left : left + width], origin=(left, top)
        )

    def _sound(self, sound: Samples) -> Samples | None:
        first = _samples(self._start - sound.pts_seconds, len(sound.pcm))
        last = _samples(self._end - sound.pts_seconds, len(sound.pcm))
        if sound.pts_seconds >= self._end:
            self._sound_left = False
        if first >= last:
            return None
        return Samples(sound.pts_seconds + first / SAMPLE_RATE_HZ, sound.pcm[first:last])


def _samples(seconds: float, most: int) -> int:
    """Samples in so many seconds, at least 0 and at most ``most``."""
    if seconds <= 0:
        return 0
    return most if seconds * SAMPLE_RATE_HZ >= most else math.ceil(seconds * SAMPLE_RATE_HZ)
