"""From a source to cropped frames and sound, in threads of their own.

    file:  source -> crop -> queue that makes the source wait
    live:  source -> queue that drops the oldest -> crop -> queue that makes the cropper wait

Who reads a live source does nothing else, so that neither a slow detector nor a slow encoder makes packets
get lost or the delay grow. The pace leaves frames out while items are late; their rows stay. What waits for
too long even so is dropped, at one place, and counted: pictures first, then sound.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from typing import Final

from emorec_rt.faces import FaceCropper
from emorec_rt.faces.cropped import BatchCropper, CroppedFrame, cropped_items
from emorec_rt.media import Frame, MediaItem, Samples
from emorec_rt.media.sources import Source
from emorec_rt.recognizer.prefetch import Dropping, Prefetch
from emorec_rt.recognizer.presence import Presence
from emorec_rt.windows.pace import Pace

FILE_ITEMS: Final = 64
CROPPED_ITEMS: Final = 192
"""Of a live source: some seconds, so that faces are found while the encoders are busy, and no row is lost."""

RAW_ITEMS: Final = 256
RAW_BYTES: Final = 256 * 2**20
"""Forty full HD pictures."""

PATIENCE_SECONDS: Final = 1.0
"""A picture of a live source that nobody has looked at for this long is dropped. What comes in a burst, at
the start or after a pause of the network, is worked off sooner."""

SOUND_PATIENCE_SECONDS: Final = 3.0
"""Sound is worth more, and takes less to encode."""


LONGEST_AGE_SECONDS: Final = 4.0
"""An item whose turn comes later than this is dropped: its row would be worth nothing."""


class Arrivals:
    """Arrival times of a live source's items, by their presentation time."""

    def __init__(self) -> None:
        self._read_at: dict[float, float] = {}

    def noted(self, items: Iterable[MediaItem]) -> Iterator[MediaItem]:
        """Pass items on, and note when each came."""
        for item in items:
            self._read_at[item.pts_seconds] = time.monotonic()
            while len(self._read_at) > 4 * RAW_ITEMS:  # dropped items stay behind
                del self._read_at[next(iter(self._read_at))]
            yield item

    def age_seconds(self, pts_seconds: float) -> float:
        """Return how long ago the item of this time was read; 0 where it isn't known."""
        read_at = self._read_at.pop(pts_seconds, None)
        return 0.0 if read_at is None else time.monotonic() - read_at


class CropStream:
    """The cropped items of one source; a context manager that ends its threads.

    Args:
        source: An opened source; a live one is closed at the end, which ends a read that waits.
        cropper: A cropper for this source alone.
        pace: Told how late each item is when its turn comes.
    """

    def __init__(self, source: Source, cropper: FaceCropper | BatchCropper, pace: Pace | None = None) -> None:
        self._source = source
        self._pace = pace
        self._arrivals = Arrivals()
        self._stale = {False: 0, True: 0}  # dropped items, by whether they are sound
        self._stack = ExitStack()
        self._presence = Presence()
        self._raw: Prefetch[MediaItem] | None = None
        if source.live:
            self._raw = Prefetch(self._arrivals.noted(source), RAW_ITEMS, _DROPPING)
        items = source if self._raw is None else _present(self._raw)
        self._crops = Prefetch(
            cropped_items(items, cropper), FILE_ITEMS if self._raw is None else CROPPED_ITEMS
        )

    def __enter__(self) -> CropStream:
        for queue in (self._raw, self._crops):
            if queue is not None:
                self._stack.enter_context(queue)
        if self._source.live:
            self._stack.callback(self._source.close)  # first of all, so that no thread waits for the network
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[CroppedFrame | Samples | None]:
        """Yield items as they come, and ``None`` whenever there is none to be had at once."""
        for item in self._crops:
            if item is not None and self._too_old(item):
                continue
            if item is not None:
                self._presence.add(item)
            if self._pace is None:
                yield item
            else:
                self._pace.begin()
                yield item
                self._pace.rest()

    def _too_old(self, item: CroppedFrame | Samples) -> bool:
        """Tell the pace how late an item is, and count the item if it is to be dropped."""
        if self._pace is None:
            return False
        live, time_seconds = self._raw is not None, item.pts_seconds
        age_seconds = (self._arrivals.age_seconds if live else self._pace.lateness_seconds)(time_seconds)
        if isinstance(item, CroppedFrame) or not self._source.has_video:
            self._pace.note(time_seconds, age_seconds, newest=not self._crops.waiting)
        if self._raw is None or age_seconds <= LONGEST_AGE_SECONDS or self._raw.ended:
            return False
        self._stale[isinstance(item, Samples)] += 1
        return True

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings: what the input lacked, and how far a live source was too fast."""
        if self._raw is None:
            return (*self._presence.warnings, *self._slowed())
        frames, blocks = self._raw.dropped + self._stale[False], self._raw.overflowed + self._stale[True]
        counts = ((frames, "frame"), (blocks, "block of sound"))
        dropped = (
            f"{_plural(count, what)} dropped: this machine is slower than the source"
            for count, what in counts
            if count
        )
        return (*self._presence.warnings, *dropped, *self._slowed())

    def _slowed(self) -> tuple[str, ...]:
        if self._pace is None or self._pace.longest == 1.0:
            return ()
        return (
            f"this machine is slower than the source: at times up to {self._pace.longest:.1f} times less was "
            "encoded than planned; rows between are interpolated, and say so",
        )


def _present(items: Prefetch[MediaItem]) -> Iterator[MediaItem]:
    return (item for item in items if item is not None)


def _is_picture(item: MediaItem) -> bool:
    return not isinstance(item, Samples)


def _size_bytes(item: MediaItem) -> int:
    if isinstance(item, Samples):
        return item.pcm.nbytes
    return item.pixels.nbytes if isinstance(item, Frame) else 0


_DROPPING: Final = Dropping(_is_picture, PATIENCE_SECONDS, SOUND_PATIENCE_SECONDS, _size_bytes, RAW_BYTES)


def _plural(count: int, what: str) -> str:
    first, *rest = what.split(" ")
    return f"1 {what} was" if count == 1 else f"{count} {' '.join([first + 's', *rest])} were"
