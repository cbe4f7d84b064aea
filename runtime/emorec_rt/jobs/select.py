"""Inputs of a call, from names of files, folders, patterns and lists of all of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emorec_rt.constants import MEDIA_SUFFIXES
from emorec_rt.errors import UsageError
from emorec_rt.media.container import PICTURE_SUFFIXES
from emorec_rt.media.sources import is_address, is_picture_folder, numbered_pictures, output_stem
from emorec_rt.writers import FORMATS

LIST_MARK: Final = "@"
_WILD: Final = re.compile(r"[*?[]")


@dataclass(frozen=True, slots=True)
class Found:
    """One input.

    Attributes:
        source: The file, the folder of pictures or the address.
        relative: Its place below the folder, pattern or list that named it; its results go to the same
            place below ``--out-dir``.
        pictures_beside: Numbered pictures in its folder that are not taken, where a folder was searched.
    """

    source: Path
    relative: Path
    pictures_beside: int = 0


def select(paths: Sequence[Path], lists: Sequence[Path], note: Callable[[str], None]) -> list[Found]:
    """Each input once, in the order in which a call names it.

    A folder is searched, in sorted order; a quoted pattern (``'day*/**/*.mp4'``) is matched, in sorted order;
    ``@list.txt`` is a list: one file, folder, pattern or address a line, relative to the list's own folder,
    empty lines and lines that start with ``#`` left out. What exists is what it is, whatever its name looks
    like; a file whose name starts with ``@`` is written ``./@name``.

    Args:
        paths: The user's arguments.
        lists: Further lists, after them.
        note: Called with a line about inputs that were named more than once, and about pictures left out.

    Raises:
        UsageError: A list that can't be read, or a folder, pattern or list without any input.
    """
    found: dict[Path, Found] = {}
    repeated = 0
    for item in _all(paths, lists):
        place = _place(item.source)
        repeated += place in found
        found.setdefault(place, item)
    if repeated:
        note(f"note: {repeated} input{'s were' if repeated > 1 else ' was'} named again; each is run once")
    for folder, count in {item.source.parent: item.pictures_beside for item in found.values()}.items():
        if count:
            left = f"{count} numbered picture{'s are' if count > 1 else ' is'} left out"
            note(f"note: {folder}: {left}: only a folder of pictures alone is read as a video")
    return list(found.values())


def all_lists(paths: Sequence[Path], lists: Sequence[Path]) -> list[Path]:
    """Files that list inputs: ``@list.txt`` among the arguments, and those of ``--list``."""
    return [*(Path(str(path)[1:]) for path in paths if str(path).startswith(LIST_MARK)), *lists]


def _all(paths: Sequence[Path], lists: Sequence[Path]) -> Iterator[Found]:
    for path in paths:
        if str(path).startswith(LIST_MARK):
            yield from _listed(Path(str(path)[1:]))
        else:
            yield from _named(path)
    for path in lists:
        yield from _listed(path)


def _place(source: Path) -> Path:
    """The same for two names of one input. Links to one file are two inputs: they have two names."""
    if is_address(source):
        return source
    try:
        return source.parent.resolve() / source.name
    except (OSError, RuntimeError, ValueError):  # a loop of links, a name too long
        return source


def _named(path: Path) -> Iterable[Found]:
    if is_address(path):
        return [Found(path, Path(output_stem(path)))]
    if _exists(path):
        if path.is_dir() and not is_picture_folder(path):
            return _inside(path)
    elif _WILD.search(str(path)):
        return _matching(path)
    return [Found(path, Path(path.name))]


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no system takes; whoever opens it says so
        return False


def _inside(folder: Path) -> list[Found]:
    """Media files, and folders of numbered pictures, which are one input each."""
    inputs = sorted(path for path in folder.rglob("*") if _is_input(path))
    if not inputs:
        hint = "; its pictures are not numbered like the frames of a video" if _has_pictures(folder) else ""
        raise UsageError(f"{folder}: no media file in this folder{hint}")
    beside = {parent: numbered_pictures(parent) for parent in {path.parent for path in inputs}}
    return [Found(path, path.relative_to(folder), beside[path.parent]) for path in inputs]


def _matching(pattern: Path) -> list[Found]:
    base = _fixed_part(pattern)
    try:
        matches = sorted(base.glob(str(pattern.relative_to(base))))
    except ValueError as error:
        raise UsageError(f"{pattern}: is not a pattern ({error})") from error
    # A pattern that says which suffix it means is taken at its word.
    fits = _is_input if _WILD.search(pattern.suffix) or not pattern.suffix else _is_source
    found = [Found(path, path.relative_to(base)) for path in matches if fits(path)]
    if not found:
        raise UsageError(f"{pattern}: no media file matches this pattern")
    return found


def _fixed_part(pattern: Path) -> Path:
    """The folder that all matches of a pattern lie in."""
    base = Path(pattern.anchor)
    for part in pattern.relative_to(base).parts[:-1]:
        if _WILD.search(part):
            break
        base /= part
    return base


def _listed(path: Path) -> list[Found]:
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as error:
        raise UsageError(f"list {path}: can't be read ({error.strerror})") from error
    found = [item for line in lines for item in _line(path.parent, line.strip())]
    if not found:
        raise UsageError(f"list {path}: names no input")
    return found


def _line(folder: Path, line: str) -> Iterable[Found]:
    if not line or line.startswith("#"):
        return []
    if "\0" in line:
        raise UsageError("a list is text, one input a line; this one holds a zero byte")
    entry = Path(line)
    if is_address(entry):
        return _named(entry)
    items = _named(folder / entry)
    if entry.is_absolute() or ".." in entry.parts or _WILD.search(line):
        return items
    # Listed as below the list's folder: results keep that place, so that a/talk.mp4 and b/talk.mp4 differ.
    return [Found(item.source, item.source.relative_to(folder)) for item in items]


def _is_source(path: Path) -> bool:
    return path.is_file() and not _is_result(path)


def _is_input(path: Path) -> bool:
    return _is_media(path) or _is_picture_folder(path)


def _has_pictures(folder: Path) -> bool:
    return any(path.suffix.lower() in PICTURE_SUFFIXES for path in folder.iterdir())


def _is_media(path: Path) -> bool:
    # What begins with a dot is some program's own: a half-written result, or macOS's "._talk.mp4".
    hidden = path.name.startswith(".")
    return path.suffix.lower() in MEDIA_SUFFIXES and not hidden and _is_source(path)


def _is_picture_folder(path: Path) -> bool:
    try:
        return not path.name.startswith(".") and is_picture_folder(path)
    except OSError:  # it may not be read: what else is there goes on
        return False


def _is_result(path: Path) -> bool:
    return any(format_.tag and path.stem.endswith(format_.tag) for format_ in FORMATS.values())
