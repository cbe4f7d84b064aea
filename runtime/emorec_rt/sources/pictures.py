"""A folder of numbered pictures, one for each frame, as the ABAW challenges hand out their face crops."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final

from emorec_rt.errors import MediaError
from emorec_rt.media import Frame, MediaItem, MediaLimits, MissingFrame, open_media
from emorec_rt.media.container import PICTURE_SUFFIXES

MAX_MISSING_IN_A_ROW: Final = 100_000
"""Numbers further apart than this, an hour at 30 frames a second, don't count frames."""

_NUMBERED: Final = re.compile(r"(?:.*\D)?(\d{1,18})")


class PictureFolder:
    """The frames of a folder of pictures.

    The number at the end of a picture's name is the number of its frame, counted from 1 (from 0, if there is
    a picture 0). Each number up to the last one gives an item: a picture that isn't there, or can't be read,
    a ``MissingFrame``. Frame ``n`` of the sequence is shown at ``n / fps`` seconds.

    Args:
        folder: The folder; what is no picture in it is left alone.
        fps: Frames a second.
        limits: What is refused of a picture.

    Attributes:
        name: The folder's path.
        live: Never.
        has_video: Always.
        has_sound: Never.
        duration_seconds: Frames by their rate.
        warnings: Missing and damaged pictures, complete when the iterator has ended.

    Raises:
        MediaError: No numbered picture is in it, two have the same number, or numbers are too far apart.
    """

    live = False
    has_video = True
    has_sound = False

    def __init__(self, folder: Path, fps: float, limits: MediaLimits) -> None:
        self.name = str(folder)
        self.warnings: list[str] = []
        self._pictures = _numbered(folder)
        self._first = min(1, min(self._pictures))
        self._fps = fps
        self._limits = limits
        self._count = max(self._pictures) - self._first + 1
        self.duration_seconds: float | None = self._count / fps
        self._closed = False
        self._items = self._iterate()

    def __enter__(self) -> PictureFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __iter__(self) -> Iterator[MediaItem]:
        return self

    def __next__(self) -> MediaItem:
        return next(self._items)

    def close(self) -> None:
        """End the iterator."""
        self._closed = True

    def _iterate(self) -> Generator[MediaItem, None, None]:
        damaged = []
        for index in range(self._count):
            if self._closed:
                return
            path = self._pictures.get(self._first + index)
            frame = None if path is None else self._frame(path, index)
            if path is not None and frame is None:
                damaged.append(path.name)
            yield frame or MissingFrame(index, index / self._fps)
        self._conclude(damaged)

    def _frame(self, path: Path, index: int) -> Frame | None:
        try:
            with open_media(path, limits=self._limits, sound=False, threads=1) as media:
                return next(
                    (
                        Frame(index, index / self._fps, item.pixels)
                        for item in media
                        if isinstance(item, Frame)
                    ),
                    None,
                )
        except MediaError:
            return None

    def _conclude(self, damaged: list[str]) -> None:
        missing = self._count - len(self._pictures)
        if missing:
            self.warnings.append(f"{missing} of {self._count} pictures are missing")
        if damaged:
            more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
            self.warnings.append(f"{damaged[0]}{more} can't be read")
        if len(damaged) == len(self._pictures):
            raise MediaError(self.name, "none of its pictures can be read")


def is_picture_folder(path: Path) -> bool:
    """Whether a folder has numbered pictures in it."""
    return path.is_dir() and any(number is not None for number in map(_number, path.iterdir()))


def _number(path: Path) -> int | None:
    match = _NUMBERED.fullmatch(path.stem)
    picture = match is not None and path.suffix.lower() in PICTURE_SUFFIXES and not path.name.startswith(".")
    return int(match[1]) if match is not None and picture else None


def _numbered(folder: Path) -> dict[int, Path]:
    pictures: dict[int, Path] = {}
    try:
        entries = sorted(folder.iterdir())
    except OSError as error:
        raise MediaError(folder, f"can't be read: {error.strerror}") from error
    for path in entries:
        number = _number(path)
        if number is not None and number in pictures:
            raise MediaError(folder, f"{pictures[number].name} and {path.name} have the same number")
        if number is not None:
            pictures[number] = path
    if not pictures:
        raise MediaError(folder, "no numbered picture in this folder, such as 00001.jpg")
    _check_gaps(folder, sorted(pictures))
    return pictures


def _check_gaps(folder: Path, numbers: list[int]) -> None:
    for before, after in zip([0, *numbers], numbers, strict=False):
        if after - before - 1 > MAX_MISSING_IN_A_ROW:
            raise MediaError(
                folder,
                f"no picture from {before + 1} to {after - 1}: numbers must count frames, "
                f"and at most {MAX_MISSING_IN_A_ROW} may be missing in a row",
            )
