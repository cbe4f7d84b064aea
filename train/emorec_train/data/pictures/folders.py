"""Pictures in folders named after their class, and pictures listed in a csv file."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.files import csv_rows, folders_in, walk_files
from emorec_train.data.datasets.folder import SPLIT_FOLDERS
from emorec_train.data.datasets.names import UnknownExpressionError, expression_of
from emorec_train.data.datasets.record import Problem
from emorec_train.data.pictures.record import PictureRecord, certain
from emorec_train.data.pictures.types import PictureSplit
from emorec_train.data.synthetic import Split

PICTURE_SUFFIXES: Final = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})

_SPLITS: Final[Mapping[str, PictureSplit]] = {
    name: split for name, split in SPLIT_FOLDERS.items() if split != "test"
}

CONTEMPT: Final[Mapping[str, str | None]] = {"contempt": "Other"}
"""Labels of still pictures that ABAW's classes lack."""


def read_folders(root: Path, problems: list[Problem]) -> Iterator[PictureRecord]:
    """Yield ``<root>/<class>/**`` or ``<root>/<split>/<class>/**``; the test split is left alone."""
    folders = {folder: folder.name.lower() for folder in folders_in(root, problems)}
    splits = [(folder, _SPLITS[name]) for folder, name in folders.items() if name in _SPLITS]
    whole: list[tuple[Path, PictureSplit | None]] = [(root, None)]
    for base, split in splits or whole:
        for folder in folders_in(base, problems):
            yield from _class_folder(folder, split, problems)


def _class_folder(
    folder: Path, split: PictureSplit | None, problems: list[Problem]
) -> Iterator[PictureRecord]:
    try:
        label = expression_of(folder.name, CONTEMPT)
    except UnknownExpressionError as error:
        problems.append(Problem(folder, f"{error}; left out"))
        return
    for path in walk_files(folder, problems):
        if label is not None and path.suffix.lower() in PICTURE_SUFFIXES:
            yield PictureRecord(path, certain(label), split)


def read_csv(root: Path, problems: list[Problem]) -> Iterator[PictureRecord]:
    """Yield the rows of a csv file: ``path``, and ``label`` or a column of votes for each class.

    A column ``split`` is optional. Paths are relative to the file.
    """
    for line, row in csv_rows(root, ("path",)):
        try:
            votes = _votes(row)
            split = _split(row.get("split", ""))
        except ValueError as error:
            problems.append(Problem(root, f"line {line}: {error}; left out"))
            continue
        path = root.parent / row["path"]
        if not path.is_file():
            problems.append(Problem(root, f"line {line}: there is no file {row['path'] or '(no path)'}"))
        elif split != "test":
            yield PictureRecord(path, votes, split)


def _votes(row: Mapping[str, str]) -> NDArray[np.float32]:
    if row.get("label"):
        label = expression_of(row["label"], CONTEMPT)
        if label is None:
            raise ValueError(f"label {row['label']!r} stands for no class")
        return certain(label)
    columns = {name.lower(): value for name, value in row.items()}
    votes = np.array([float(columns.get(name.lower()) or 0.0) for name in EXPRESSIONS], np.float32)
    if not (votes.sum() > 0 and votes.min() >= 0):
        raise ValueError("neither a label nor votes")
    return votes


def _split(name: str) -> Split | None:
    if name and name.lower() not in SPLIT_FOLDERS:
        raise ValueError(f"{name!r} is no split; there are {', '.join(SPLIT_FOLDERS)}")
    return SPLIT_FOLDERS.get(name.lower())
