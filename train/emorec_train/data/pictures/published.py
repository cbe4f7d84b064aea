"""Layouts of published sets: AffectNet, RAF-DB and FER+."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.faces.box import Box
from emorec_train.data.datasets.files import csv_rows
from emorec_train.data.datasets.record import DatasetError, Problem
from emorec_train.data.pictures.record import PictureRecord, certain
from emorec_train.data.pictures.types import PictureSplit

AFFECTNET: Final = ("Neutral", "Happiness", "Sadness", "Surprise", "Fear", "Disgust", "Anger", "Other")
"""By AffectNet's number (Mollahosseini et al. 2017); 7 is contempt, 8 to 10 (none, uncertain, no face) are
left out."""

RAFDB: Final = ("Surprise", "Fear", "Disgust", "Happiness", "Sadness", "Anger", "Neutral")
"""By RAF-DB's number (Li et al. 2017), from 1."""

FERPLUS: Final = (
    "neutral",
    "happiness",
    "surprise",
    "sadness",
    "anger",
    "disgust",
    "fear",
    "contempt",
    "unknown",
    "NF",
)
"""Columns of FER+ (Barsoum et al. 2016) in the file's order; ``NF`` is no face."""

_FERPLUS_AS: Final = (
    "Neutral",
    "Happiness",
    "Surprise",
    "Sadness",
    "Anger",
    "Disgust",
    "Fear",
    "Other",
    "Other",
)
_USAGES: Final[Mapping[str, PictureSplit | None]] = {
    "Training": "train",
    "PublicTest": "validation",
    "PrivateTest": None,
}
_FER_SIDE: Final = 48


def read_affectnet(root: Path, problems: list[Problem]) -> Iterator[PictureRecord]:
    """Yield AffectNet's pictures, from its lists or from the folders of its smaller edition.

    ``training.csv`` and ``validation.csv`` stand beside the folders of pictures and have face boxes; in
    ``train_set`` and ``val_set`` are ``images/N.jpg``, which are crops, and ``annotations/N_exp.npy``.
    """
    folders: list[tuple[str, PictureSplit]] = [("train_set", "train"), ("val_set", "validation")]
    lists: list[tuple[str, PictureSplit]] = [("training.csv", "train"), ("validation.csv", "validation")]
    if not any((root / name).exists() for name, _ in (*folders, *lists)):
        raise DatasetError(root, "is no AffectNet: neither training.csv nor train_set is in it")
    for name, split in folders:
        for file in sorted((root / name / "annotations").glob("*_exp.npy")):
            yield from _affectnet_crop(file, split, problems)
    for name, split in lists:
        if (root / name).is_file():
            yield from _affectnet_list(root / name, split, problems)


def _affectnet_crop(file: Path, split: PictureSplit, problems: list[Problem]) -> Iterator[PictureRecord]:
    picture = file.parent.parent / "images" / f"{file.name.removesuffix('_exp.npy')}.jpg"
    try:
        number = int(np.load(file, allow_pickle=False))
    except (OSError, ValueError) as error:
        problems.append(Problem(file, f"can't be read ({error})"))
        return
    if 0 <= number < len(AFFECTNET):
        yield PictureRecord(picture, certain(AFFECTNET[number]), split)


def _affectnet_list(path: Path, split: PictureSplit, problems: list[Problem]) -> Iterator[PictureRecord]:
    corner, size = ("face_x", "face_y"), ("face_width", "face_height")
    for line, row in csv_rows(path, ("subDirectory_filePath", *corner, *size, "expression")):
        try:
            number = int(row["expression"])
            box = Box(*(float(row[name]) for name in (*corner, *size)))
        except ValueError:
            problems.append(Problem(path, f"line {line}: expression or face box is no number; left out"))
            continue
        if 0 <= number < len(AFFECTNET):
            yield PictureRecord(
                path.parent / row["subDirectory_filePath"], certain(AFFECTNET[number]), split, box=box
            )


def read_rafdb(root: Path, problems: list[Problem]) -> Iterator[PictureRecord]:
    """Yield RAF-DB's aligned basic pictures; what it calls test is validation here."""
    base = root / "basic" if (root / "basic").is_dir() else root
    listed = base / "EmoLabel" / "list_patition_label.txt"
    try:
        lines = listed.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DatasetError(root, f"is no RAF-DB: {listed} can't be read ({error.strerror})") from error
    for line in filter(None, map(str.strip, lines)):
        name, _, number = line.partition(" ")
        if not (number.isdigit() and 1 <= int(number) <= len(RAFDB)):
            problems.append(
                Problem(listed, f"{line!r}: a name and a number from 1 to 7 are expected; left out")
            )
            continue
        split: PictureSplit = "train" if name.startswith("train") else "validation"
        picture = base / "Image" / "aligned" / f"{Path(name).stem}_aligned.jpg"
        yield PictureRecord(picture, certain(RAFDB[int(number) - 1]), split)


def read_ferplus(root: Path, problems: list[Problem]) -> Iterator[PictureRecord]:
    """Yield FER2013's pictures with FER+ votes, from ``fer2013new.csv`` and ``fer2013.csv`` beside it.

    ``PrivateTest`` is left alone: it is the set's test split.
    """
    votes, pixels = (
        csv_rows(root / "fer2013new.csv", FERPLUS),
        csv_rows(root / "fer2013.csv", ("pixels", "Usage")),
    )
    for (line, tags), (_, picture) in zip(votes, pixels, strict=True):
        split = _USAGES.get(picture["Usage"])
        counts = np.array([float(tags[name] or 0) for name in FERPLUS], np.float32)
        shares = ferplus_votes(counts)
        if split is None or shares is None:
            continue
        values = np.fromstring(picture["pixels"], np.uint8, sep=" ")
        if len(values) != _FER_SIDE**2:
            problems.append(Problem(root / "fer2013.csv", f"line {line}: not 48x48 pixels; left out"))
            continue
        yield PictureRecord(root / f"fer2013.csv:{line}", shares, split, values.reshape(_FER_SIDE, _FER_SIDE))


def ferplus_votes(counts: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Votes of the taggers, in the order of ``FERPLUS``, as votes for ``EXPRESSIONS``.

    A tag that one tagger alone gave is an outlier and left out, as in FER+'s own code; contempt and unknown
    are ``Other``. ``None`` where most saw no face.
    """
    *tags, no_face = counts
    if no_face > max(tags):
        return None
    kept = np.where(np.array(tags) > 1, tags, 0.0)
    kept = kept if kept.any() else np.array(tags)
    if not kept.any():
        return None
    shares: NDArray[np.float32] = sum(
        count * certain(label) for count, label in zip(kept, _FERPLUS_AS, strict=True)
    )
    return np.asarray(shares, np.float32)
