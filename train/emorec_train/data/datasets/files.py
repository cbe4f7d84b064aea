"""Files of a data set's folder, in sorted order."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from emorec_rt.constants import MEDIA_SUFFIXES, SOUND_SUFFIXES, VIDEO_SUFFIXES
from emorec_train.data.datasets.record import DatasetError, Problem

K = TypeVar("K")


def is_video(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def is_sound(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in SOUND_SUFFIXES


def is_media(path: Path) -> bool:
    """By its suffix."""
    return path.suffix.lower() in MEDIA_SUFFIXES


def walk_files(
    root: Path, problems: list[Problem], prune: Callable[[Path], bool] = lambda _: False
) -> Iterator[Path]:
    """Files below a folder, sorted; hidden ones (``.DS_Store``, ``._clip.mp4``) are skipped.

    Args:
        root: The folder.
        problems: Takes subfolders that can't be read.
        prune: Folders that are not entered.

    Raises:
        DatasetError: There is no such folder.
    """
    if not root.is_dir():
        raise DatasetError(root, "there is no such folder; give the folder that holds the data set")

    def report(error: OSError) -> None:
        problems.append(Problem(Path(error.filename), f"can't be read ({error.strerror})"))

    for folder, folders, files in os.walk(root, onerror=report):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if _visible(name) and not prune(here / name))
        yield from (here / name for name in sorted(files) if _visible(name))


def folders_in(path: Path, problems: list[Problem]) -> list[Path]:
    """Subfolders that aren't hidden, sorted.

    Args:
        path: The folder; if it can't be read, it counts as empty.
        problems: Takes it then.
    """
    try:
        with os.scandir(path) as entries:
            found = [path / entry.name for entry in entries if _is_folder(entry)]
    except OSError as error:
        problems.append(Problem(path, f"can't be read ({error.strerror or error})"))
        return []
    return sorted(folder for folder in found if not folder.name.startswith("."))


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to where nobody may look
        return False


def keep_first(files: dict[K, Path], key: K, path: Path, problems: list[Problem]) -> None:
    """Put a file in its place; if the place is taken, report it and leave it out."""
    first = files.setdefault(key, path)
    if first is not path:
        problems.append(Problem(path, f"is here twice; {first} is used"))


def csv_rows(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, Mapping[str, str]]]:
    """Rows of a csv file with their line numbers; what a short row lacks is empty, bad bytes are replaced.

    Raises:
        DatasetError: It can't be read, or lacks one of ``columns``.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            rows = csv.DictReader(file, restkey="")
            names = rows.fieldnames or ()
            if absent := [column for column in columns if column not in names]:
                raise DatasetError(path, f"has no column {', '.join(absent)} in its first line")
            for row in rows:
                yield rows.line_num, {name: (row[name] or "").strip() for name in names if name}
    except (OSError, csv.Error) as error:
        raise DatasetError(path, f"can't be read ({error})") from error


def _visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"
