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
from emorec_rt.media import MediaItem, Samples
from emorec_rt.prefetch import Prefetch
from emorec_rt.sources import Source
from emorec_rt.window import CroppedFrame
from emorec_rt.windows import cropped

FILE_ITEMS: Final = 64
LIVE_ITEMS: Final = 12
"""Half a second at 25 frames a second, in each of the two queues: what a machine that is too slow is late."""


class Intake:
    """The cropped items of one source; a context manager that ends its threads.

    Args:
        source: An opened source; a live one is closed at the end, which ends a read that waits.
        cropper: A cropper for this source alone.
    """

    def __init__(self, source: Source, cropper: FaceCropper) -> None:
        self._source = source
        self._cropper = cropper
        self._stack = ExitStack()
        self._raw = Prefetch[MediaItem](source, LIVE_ITEMS, droppable=_is_picture) if source.live else None
        items = source if self._raw is None else _present(self._raw)
        crops = (cropped(item, cropper) for item in items)
        self._crops = Prefetch(crops, FILE_ITEMS if self._raw is None else LIVE_ITEMS)

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


def _plural(count: int, what: str) -> str:
    first, *rest = what.split(" ")
    return f"1 {what} was" if count == 1 else f"{count} {' '.join([first + 's', *rest])} were"
