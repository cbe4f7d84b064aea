"""Aff-Wild2's files: names, places, annotations.

<root>/**/EXPR_Recognition_Challenge/{Train_Set,Validation_Set}/<sequence>.txt   or EXPR_Set, VA_Set, AU_Set
<root>/**/{cropped,cropped_aligned,cropped_aligned_new_50_vids}/<sequence>/00001.jpg
<root>/**/{batch1,batch2,newvids}/<video>.mp4
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.files import folders_in, is_media, is_sound, keep_first, walk_files
from emorec_train.data.datasets.names import UnknownExpressionError, expression_of
from emorec_train.data.datasets.record import FrameFolder, Problem
from emorec_train.data.labels import IGNORED
from emorec_train.data.synthetic import Split

SET_FOLDERS: Final[dict[str, Split]] = {"Train_Set": "train", "Validation_Set": "validation"}

_TRACK_FOLDER: Final = re.compile(r"(EXPR|VA|AU)_(?:\w+_Challenge|Set)")
_IMAGE_FOLDER: Final = re.compile(r"cropped(_aligned)?(_new\w*)?")
_IMAGE: Final = re.compile(r"(\d{5}|[1-9]\d{5,6})\.jpg")
_NAME: Final = re.compile(
    r"(?P<video>(?P<recording>video\d+|\d+(?:-(?P<fps>\d+)-\d+x\d+)?)(?:[-_]\d+)?)(?:_(?P<person>left|right))?"
)
_PERSON: Final = re.compile(r"_(left|right)$")


@dataclass(frozen=True, slots=True)
class SequenceName:
    """Parts of a sequence's name: ``10-60-1280x720_right``, ``122-60-1920x1080-4``, ``166``, ``video45_3``.

    Attributes:
        video: Name of the video file, without suffix.
        person: ``left``, ``right`` or empty.
        recording: What the parts of one recording have in common.
        fps_hint: Frames a second, if the name has it; only a hint.
    """

    video: str
    person: str
    recording: str
    fps_hint: int | None


def parse_name(name: str) -> SequenceName:
    """Read a name; one of an unknown form is a recording of its own."""
    match = _NAME.fullmatch(name)
    if match is None:
        person = _PERSON.search(name)
        video = _PERSON.sub("", name)
        return SequenceName(video, person[1] if person else "", video, None)
    fps = match["fps"]
    return SequenceName(match["video"], match["person"] or "", match["recording"], int(fps) if fps else None)


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of annotations, images, videos and sounds.

    Attributes:
        annotations: Split and file of each annotated sequence, by track: ``EXPR``, ``VA``, ``AU``.
        images: Image folders, by kind and then by sequence.
        videos: Videos by name.
        sounds: Sound files of their own, by name.
    """

    annotations: dict[str, dict[str, tuple[Split, Path]]] = field(default_factory=dict)
    images: dict[str, dict[str, Path]] = field(default_factory=dict)
    videos: dict[str, Path] = field(default_factory=dict)
    sounds: dict[str, Path] = field(default_factory=dict)


def find_layout(root: Path, problems: list[Problem]) -> Layout:
    """Look below a folder; the millions of images are not looked at yet."""
    layout = Layout()
    image_folders: list[Path] = []

    def prune(folder: Path) -> bool:
        is_images = _IMAGE_FOLDER.fullmatch(folder.name) is not None
        if is_images:
            image_folders.append(folder)
        return is_images

    for path in walk_files(root, problems, prune):
        split = SET_FOLDERS.get(path.parent.name)
        if is_media(path):
            files = layout.sounds if is_sound(path) else layout.videos
            keep_first(files, path.stem, path, problems)
        elif split and path.suffix == ".txt" and (track := _TRACK_FOLDER.fullmatch(path.parent.parent.name)):
            own = layout.annotations.setdefault(track[1], {})
            first_split, first = own.setdefault(path.stem, (split, path))
            if first is not path:
                problems.append(Problem(path, f"is annotated twice; {first} ({first_split}) is used"))
    for folder in image_folders:
        _index_images(layout, folder, problems)
    return layout


def _index_images(layout: Layout, folder: Path, problems: list[Problem]) -> None:
    inner = folder / folder.name  # an archive unpacked into a folder of its own name
    found = folders_in(folder, problems)
    sequences = layout.images.setdefault(folder.name, {})
    for sequence in folders_in(inner, problems) if inner in found else found:
        keep_first(sequences, sequence.name, sequence, problems)


def images_of(layout: Layout, name: str, kind: str) -> Path | None:
    """Image folder of a sequence: of the kind asked for, else of one of the later additions."""
    added = sorted(other for other in layout.images if "_new" in other)
    for folder in (kind, *sorted(added, key=lambda other: not other.startswith(f"{kind}_new"))):
        if path := layout.images.get(folder, {}).get(name):
            return path
    return None


def list_frames(folder: Path, problems: list[Problem]) -> FrameFolder:
    """Numbers of a folder's images; other files are reported in one line, and so is an unreadable folder."""
    numbers: list[int] = []
    odd: list[str] = []
    for name in _names(folder, problems):
        match = _IMAGE.fullmatch(name)
        number = int(match[1]) if match else 0
        if number:
            numbers.append(number)
        elif not name.startswith("."):
            odd.append(name)
    if odd:
        problems.append(Problem(folder, f"{len(odd)} files are not like 00001.jpg, the first: {min(odd)}"))
    return FrameFolder(folder, np.array(sorted(numbers), np.int64))


def _names(folder: Path, problems: list[Problem]) -> list[str]:
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError as error:
        problems.append(Problem(folder, f"can't be read ({error.strerror or error}); no frame has a picture"))
        return []


class AnnotationError(ValueError):
    """An annotation file that can't be trusted."""


def read_annotation(path: Path) -> NDArray[np.int64]:
    """Labels of an annotation file.

    Returns:
        int64 ``[F]``, index into ``EXPRESSIONS`` for the frames 1 to F, ``IGNORED`` where the file has -1.

    Raises:
        AnnotationError: The header, a line or a label isn't what it should be.
        OSError: It can't be read.
    """
    lines = path.read_text(encoding="utf-8-sig", errors="replace").rstrip().splitlines()
    table = np.array([*_columns(lines[0] if lines else ""), IGNORED], np.int64)
    values = _integers(lines[1:])
    wrong = np.flatnonzero((values < -1) | (values >= len(table) - 1))
    if len(wrong):
        raise AnnotationError(
            f"line {wrong[0] + 2}: label {values[wrong[0]]} is not -1 to {len(table) - 2}"
            f" ({len(wrong)} such lines)"
        )
    if not len(values):
        raise AnnotationError("has no labels")
    return np.asarray(table[values])  # -1 takes the table's last entry


def _columns(header: str) -> list[int]:
    """Class of each label value, by the names in the header."""
    try:
        names = [expression_of(name) for name in header.split(",")]
    except UnknownExpressionError as error:
        raise AnnotationError(f"line 1 is not a header of expressions: {error}") from error
    if len(names) < 2 or len(set(names)) < len(names):
        raise AnnotationError(f"line 1 is not a header of expressions: {header[:80]!r}")
    return [EXPRESSIONS.index(name) for name in names if name]


def _integers(lines: Sequence[str]) -> NDArray[np.int64]:
    try:
        return np.array([int(line) for line in lines], np.int64)
    except (ValueError, OverflowError):
        pass
    for number, line in enumerate(lines, 2):
        if not re.fullmatch(r"\s*[-+]?\d{1,9}\s*", line):
            raise AnnotationError(f"line {number} is not a label: {line[:40]!r}")
    raise AnnotationError("a line is not a label")
