"""Choice of recordings, and of short stretches of long ones, spread over all of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from emorec_rt.constants import MEDIA_SUFFIXES
from emorec_rt.errors import UsageError
from emorec_rt.media import open_media
from emorec_rt.media.types import MediaItem, Samples

EXCERPT_SECONDS: Final = 8.0
"""A few windows with the sound around them."""

Excerpt = tuple[float, float]
"""Start and end in seconds from the recording's beginning, half-open."""


def media_files(paths: Iterable[Path]) -> list[Path]:
    """Files as they are named, and the media files in folders, sorted.

    Raises:
        UsageError: There is none, or a path doesn't exist.
    """
    paths = list(paths)
    if absent := [path for path in paths if not path.exists()]:
        raise UsageError(f"{absent[0]}: no such file or folder")
    files = [file for path in paths for file in (_inside(path) if path.is_dir() else [path])]
    if not files:
        raise UsageError(f"no recordings in {', '.join(map(str, paths))}")
    return list(dict.fromkeys(files))


def _inside(folder: Path) -> list[Path]:
    return sorted(file for file in folder.rglob("*") if file.suffix.lower() in MEDIA_SUFFIXES)


def choose(paths: Iterable[Path], seconds: float, seed: int) -> dict[Path, tuple[Excerpt, ...]]:
    """Divide a number of seconds among recordings.

    All recordings are laid end to end and cut into excerpts; from each of as many equal stretches as may be
    taken, one is drawn. So long recordings give more than short ones, and none is left out for another's
    sake. A recording that doesn't say how long it is counts as one excerpt.

    Args:
        paths: The files.
        seconds: How much may be taken in all.
        seed: Of the draw.

    Returns:
        The excerpts of those that were drawn, in order; an empty tuple means the whole file, when everything
        fits into ``seconds``.

    Raises:
        MediaError: A file can't be opened.
    """
    durations = {path: _duration_seconds(path) for path in paths}
    if sum(durations.values()) <= seconds:
        return dict.fromkeys(durations, ())
    slots = [(path, start) for path, duration in durations.items() for start in _starts(duration)]
    wanted = max(1, min(len(slots), round(seconds / EXCERPT_SECONDS)))
    stride, generator = len(slots) / wanted, random.Random(seed)  # noqa: S311 - a sample, not a secret
    chosen: dict[Path, list[Excerpt]] = {}
    for number in range(wanted):
        first, end = round(number * stride), round((number + 1) * stride)
        path, start = slots[generator.randrange(first, max(end, first + 1))]
        chosen.setdefault(path, []).append((start, start + EXCERPT_SECONDS))
    return {path: tuple(found) for path, found in chosen.items()}


def cut(
    items: Iterable[MediaItem], excerpts: Iterable[Excerpt], *, has_video: bool
) -> Iterator[Iterator[MediaItem]]:
    """The excerpts of a stream of items, one after the other; each has to be read before the next.

    What lies between them is decoded and dropped, so memory doesn't grow.

    Args:
        items: In presentation order, but that sound and frames may be apart by a little.
        excerpts: In order; what two of them share belongs to the first.
        has_video: Whether frames say where an excerpt ends, or sound does.
    """
    stream = _Stream(iter(items), has_video)
    for start, end in excerpts:
        yield stream.between(start, end)


class _Stream:
    """Items of which the one that ended an excerpt may begin the next."""

    def __init__(self, items: Iterator[MediaItem], has_video: bool) -> None:
        self._items = items
        self._has_video = has_video
        self._waiting: MediaItem | None = None
        self._origin: float | None = None

    def between(self, start: float, end: float) -> Iterator[MediaItem]:
        while (item := self._next()) is not None:
            if self._origin is None:
                self._origin = item.pts_seconds
            time = item.pts_seconds - self._origin
            if time >= end and self._ends(item):
                self._waiting = item
                return
            if start <= time < end:
                yield item

    def _next(self) -> MediaItem | None:
        waiting, self._waiting = self._waiting, None
        return waiting if waiting is not None else next(self._items, None)

    def _ends(self, item: MediaItem) -> bool:
        return self._has_video != isinstance(item, Samples)


def _starts(duration: float) -> list[float]:
    count = max(1, int(duration // EXCERPT_SECONDS))
    return [index * EXCERPT_SECONDS for index in range(count)]


def _duration_seconds(path: Path) -> float:
    with open_media(path) as reader:
        return reader.duration_seconds or EXCERPT_SECONDS
