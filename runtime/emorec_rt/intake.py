"""From a source to cropped frames and sound, in threads of their own.

    file:  source -> crop -> queue that makes the source wait
    live:  source -> queue that drops the oldest -> crop -> queue that makes the cropper wait

Who reads a live source does nothing else, so that neither a slow detector nor a slow encoder makes packets
get lost or the delay grow: what is too much is dropped as whole frames, at one place, and counted.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Final

from emorec_rt.faces import FaceCropper
from emorec_rt.media import Frame, MediaItem, Samples
from emorec_rt.prefetch import Dropping, Prefetch
from emorec_rt.sources import Source
from emorec_rt.window import CroppedFrame
from emorec_rt.windows import BatchCropper, cropped_items

FILE_ITEMS: Final = 64
CROPPED_ITEMS: Final = 12
"""Of a live source: half a second at 25 frames a second, by which a machine that is too slow is late."""

RAW_ITEMS: Final = 256
RAW_BYTES: Final = 256 * 2**20
"""Forty full HD pictures."""

PATIENCE_SECONDS: Final = 1.0
"""A picture of a live source that nobody has looked at for this long is dropped. What comes in a burst, at
the start or after a pause of the network, is worked off sooner."""


class Intake:
    """The cropped items of one source; a context manager that ends its threads.

    Args:
        source: An opened source; a live one is closed at the end, which ends a read that waits.
        cropper: A cropper for this source alone.
    """

    def __init__(self, source: Source, cropper: FaceCropper | BatchCropper) -> None:
        self._source = source
        self._stack = ExitStack()
        self._raw = Prefetch[MediaItem](source, RAW_ITEMS, _DROPPING) if source.live else None
        items = source if self._raw is None else _present(self._raw)
        self._crops = Prefetch(
            cropped_items(items, cropper), FILE_ITEMS if self._raw is None else CROPPED_ITEMS
        )

    def __enter__(self) -> Intake:
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
        return iter(self._crops)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What to tell of items that a live source was too fast for."""
        if self._raw is None:
            return ()
        counts = ((self._raw.dropped, "frame"), (self._raw.overflowed, "block of sound"))
        return tuple(
            f"{_plural(count, what)} dropped: this machine is slower than the source"
            for count, what in counts
            if count
        )


def _present(items: Prefetch[MediaItem]) -> Iterator[MediaItem]:
    return (item for item in items if item is not None)


def _is_picture(item: MediaItem) -> bool:
    return not isinstance(item, Samples)


def _size_bytes(item: MediaItem) -> int:
    if isinstance(item, Samples):
        return item.pcm.nbytes
    return item.pixels.nbytes if isinstance(item, Frame) else 0


_DROPPING: Final = Dropping(_is_picture, PATIENCE_SECONDS, _size_bytes, RAW_BYTES)


def _plural(count: int, what: str) -> str:
    first, *rest = what.split(" ")
    return f"1 {what} was" if count == 1 else f"{count} {' '.join([first + 's', *rest])} were"
