"""A folder of numbered pictures, one for each frame, as the ABAW challenges hand out their face crops."""

from __future__ import annotations

import re
from collections.abc import Generator
from pathlib import Path
from typing import Final

from emorec_rt.constants import MEDIA_SUFFIXES
from emorec_rt.errors import MediaError
from emorec_rt.media import Frame, MediaItem, MediaLimits, MissingFrame, open_media
from emorec_rt.media.container import PICTURE_SUFFIXES
from emorec_rt.media.reading import Reading

MAX_MISSING_IN_A_ROW: Final = 100_000
"""Numbers further apart than this, an hour at 30 frames a second, don't count frames."""

_NUMBERED: Final = re.compile(r"(?:.*\D)?(\d{1,18})")


class PictureFolder(Reading):
    """The frames of a folder of pictures.

    The number at the end of a picture's name is the number of its frame, counted from 1 (from 0, if there is
    a picture 0). Each number up to the last one gives an item: a picture that isn't there, or can't be read,
    a ``MissingFrame``. Frame ``n`` of the sequence is shown at ``n / fps`` seconds.

    Args:
        folder: The folder; what is not a picture in it is left alone.
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
        super().__init__()

    def _iterate(self) -> Generator[MediaItem, None, None]:
        damaged = []
        for index in range(self._count):
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
    """Say whether a folder holds the frames of one video, judged by all files in it.

    It holds no media file, most of its pictures are numbered, and all of these are named alike: by a number
    alone (``00001.jpg``), or by the same letters before numbers that leave out no more than they name
    (``frame_0001.png``). A camera's folder (``IMG_1234.JPG``, ``IMG_1235.MOV``) holds media.
    """
    if not path.is_dir():
        return False
    files = [file for file in path.iterdir() if not file.name.startswith(".")]
    if any(file.suffix.lower() in MEDIA_SUFFIXES for file in files):
        return False
    pictures = [file for file in files if file.suffix.lower() in PICTURE_SUFFIXES]
    numbers = {file: number for file in pictures if (number := _number(file)) is not None}
    beginnings = {file.stem.rstrip("0123456789") for file in numbers}
    if len(beginnings) != 1 or 2 * len(numbers) < len(pictures):
        return False
    return beginnings == {""} or 2 * len(numbers) >= max(numbers.values())


def numbered_pictures(path: Path) -> int:
    """Count the numbered pictures in a folder."""
    return sum(_number(file) is not None for file in path.iterdir())


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
