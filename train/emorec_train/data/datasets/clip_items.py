"""The frames and sound of a clip of a data set, through the runtime's own decoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import MediaError
from emorec_rt.media import Frame, MediaItem, MissingFrame, Samples, open_media
from emorec_train.data.datasets.frame_times import demuxed_times
from emorec_train.data.datasets.record import ClipRecord, FrameFolder

THREADS: Final = 1
"""Threads of a decoder: there is a process for each core already."""

_JPEG_START: Final = b"\xff\xd8\xff"
_JPEG_END: Final = b"\xff\xd9"


def read_items(record: ClipRecord, warnings: list[str]) -> Iterator[MediaItem]:
    """Frames and samples of a clip; a frame without a picture is a ``MissingFrame``.

    Args:
        record: The clip. Its face crops take the times of the video's frames, if there is a video.
        warnings: Takes what was damaged, a line each.

    Raises:
        MediaError: A file can't be read.
    """
    if record.sound is not None and record.sound != record.video:
        yield from _media(record.sound, warnings, frames=False)
    if record.frames is not None:
        yield from _crops(record, record.frames, warnings)
    elif record.video is not None:
        yield from _media(record.video, warnings, sound=record.sound == record.video)


def _media(
    path: Path, warnings: list[str], *, frames: bool = True, sound: bool = True
) -> Iterator[MediaItem]:
    with open_media(path, frames=frames, sound=sound, threads=THREADS) as media:
        yield from media
        warnings += [line if line.startswith(str(path)) else f"{path}: {line}" for line in media.warnings]


def _crops(record: ClipRecord, folder: FrameFolder, warnings: list[str]) -> Iterator[MediaItem]:
    pictures = _Pictures(folder)
    count, time, period = 0, 0.0, 1.0 / record.fps
    for item in _times_and_sound(record, warnings):
        if isinstance(item, Samples):
            yield item
            continue
        if count:
            period = item - time
        yield pictures.item(count, item)
        count, time = count + 1, item
    listed = record.frame_count or 0 if record.video is None else 0  # a video has its faceless frames itself
    beyond = range(count, max(listed, int(max(folder.numbers, default=0))))
    first = time + period if count else 0.0
    yield from (pictures.item(index, first + (index - count) * period) for index in beyond)
    if count and beyond:
        warnings.append(f"{folder.path}: {len(beyond)} more frames than {record.video} has")
    warnings += pictures.warnings()


def _times_and_sound(record: ClipRecord, warnings: list[str]) -> Iterator[float | Samples]:
    """Times of the video's frames in order, and its sound where that belongs to the clip."""
    if record.video is None:
        return
    own_sound = record.sound == record.video
    known = demuxed_times(record.video)
    if known is None:
        for item in _media(record.video, warnings, sound=own_sound):
            yield item if isinstance(item, Samples) else item.pts_seconds
        return
    if own_sound and known.has_sound:
        for item in _media(record.video, warnings, frames=False):
            if isinstance(item, Samples):
                yield item
    yield from known.seconds.tolist()


class _Pictures:
    """The pictures of a folder, by index of their frame from 0."""

    def __init__(self, folder: FrameFolder) -> None:
        self._folder = folder
        self._numbers = frozenset(folder.numbers.tolist())
        self._damaged: list[Path] = []

    def item(self, index: int, pts_seconds: float) -> Frame | MissingFrame:
        """A frame, or its absence."""
        path = self._folder.file(index + 1)
        pixels = read_picture(path) if index + 1 in self._numbers else None
        if pixels is not None:
            return Frame(index, pts_seconds, pixels)
        if index + 1 in self._numbers:
            self._damaged.append(path)
        return MissingFrame(index, pts_seconds)

    def warnings(self) -> Iterator[str]:
        """A line about what can't be read."""
        if self._damaged:
            more = f" and {len(self._damaged) - 1} more" if len(self._damaged) > 1 else ""
            yield f"{self._damaged[0]}{more}: can't be read; taken as missing"


def read_picture(path: Path) -> NDArray[np.uint8] | None:
    """A picture, uint8 ``[H, W, 3]``, RGB; ``None`` if it can't be read.

    A whole JPEG goes through OpenCV, in a tenth of the time that a container takes to open. All else,
    damaged and rotated ones too, goes the runtime's way.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    if content.startswith(_JPEG_START) and content.endswith(_JPEG_END) and b"Exif" not in content[:64]:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
        if pixels is not None:
            return np.asarray(pixels, np.uint8)
    try:
        with open_media(path, sound=False, threads=THREADS) as media:
            return next((item.pixels for item in media if isinstance(item, Frame)), None)
    except MediaError:
        return None


def media_of(record: ClipRecord) -> list[Path]:
    """Files and folders that a clip is made of, each once."""
    frames = record.frames.path if record.frames is not None else None
    return [path for path in dict.fromkeys((record.video, frames, record.sound)) if path is not None]


def all_media(records: Iterable[ClipRecord]) -> list[Path]:
    """Files and folders of many clips, each once."""
    return list(dict.fromkeys(chain.from_iterable(map(media_of, records))))
