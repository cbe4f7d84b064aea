"""From ``NAME[,OPTION=VALUE...]:PATH`` on the command line to pictures in memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

import numpy as np

from emorec_rt.bundle.manifest import Vision
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import UsageError
from emorec_rt.faces.detector import FaceDetector
from emorec_train.console import say
from emorec_train.data.datasets.record import DatasetError, Problem
from emorec_train.data.pictures.decoding import Framing, decoded
from emorec_train.data.pictures.folders import read_csv, read_folders
from emorec_train.data.pictures.packed import read_packed
from emorec_train.data.pictures.published import read_affectnet, read_ferplus, read_rafdb
from emorec_train.data.pictures.record import PictureReader, PictureRecord
from emorec_train.data.pictures.types import Pictures, PictureSet, PictureSplit

READERS: Final[Mapping[str, PictureReader]] = MappingProxyType(
    {
        "npz": read_packed,
        "folder": read_folders,
        "csv": read_csv,
        "affectnet": read_affectnet,
        "rafdb": read_rafdb,
        "ferplus": read_ferplus,
    }
)
"""Reader of each name of ``--data``."""

SHOWN_PROBLEMS: Final = 10
HELD_OUT: Final = 0.1
"""Share of the pictures that become validation where a set has no split."""


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """A data set as it was asked for.

    Attributes:
        name: One of ``READERS``.
        path: Where it lies.
        weight: How much a picture counts beside one of another set.
        margin: Margin around the face that its pictures have.
        find: Look for the face in each picture, because they are whole pictures.
        labels: Labels that are taken; empty for all.
    """

    name: str
    path: Path
    weight: float = 1.0
    margin: float = 0.0
    find: bool = False
    labels: tuple[str, ...] = ()


def picture_request(text: str) -> PictureRequest:
    """A request such as ``npz:faces.npz`` or ``folder,weight=0.3,labels=Neutral+Happiness:faces``.

    Raises:
        UsageError: It has another form, or an option or its value is unknown.
    """
    head, colon, path = text.partition(":")
    name, *pairs = head.split(",")
    if not colon or not path or name not in READERS:
        raise UsageError(f"--data {text!r}: give NAME:PATH, with one of the names {', '.join(READERS)}")
    options = {key: value for key, _, value in (pair.partition("=") for pair in pairs)}
    try:
        request = PictureRequest(
            name,
            Path(path).expanduser(),
            weight=float(options.pop("weight", 1.0)),
            margin=float(options.pop("margin", 0.0)),
            find={"no": False, "yes": True}[options.pop("find", "no")],
            labels=tuple(filter(None, options.pop("labels", "").split("+"))),
        )
    except (ValueError, KeyError) as error:
        raise UsageError(f"--data {text!r}: {error} is no value of this option") from error
    if options or request.weight <= 0 or request.margin < 0 or set(request.labels) - set(EXPRESSIONS):
        raise UsageError(
            f"--data {text!r}: the options are weight above 0, margin, find=yes and labels=A+B,"
            f" of {', '.join(EXPRESSIONS)}"
        )
    return request


def open_pictures(request: PictureRequest, spec: Vision, labels: Sequence[str]) -> PictureSet:
    """Read a data set into memory.

    Args:
        request: Which.
        spec: The model's preprocessing: crops are made as the runtime makes them.
        labels: The model's labels; pictures of other classes are left out.

    Raises:
        DatasetError: It can't be read, or nothing in it can be learnt from.
    """
    problems: list[Problem] = []
    framing = Framing(spec, request.margin, FaceDetector() if request.find else None)
    records = _wanted(READERS[request.name](request.path, problems), request.labels, labels)
    pairs = list(decoded(records, framing, problems))
    _tell(request.path, problems)
    splits = np.array([_split(record, index) == "train" for index, (record, _) in enumerate(pairs)], bool)
    if not splits.any():
        raise DatasetError(request.path, f"no picture of {', '.join(request.labels or labels)} to learn from")
    order = [EXPRESSIONS.index(label) for label in labels]
    votes = np.stack([record.votes[order] for record, _ in pairs])
    whole = Pictures(_stacked([crop for _, crop in pairs]), votes / votes.sum(axis=1, keepdims=True))
    train, validation = whole.take(np.flatnonzero(splits)), whole.take(np.flatnonzero(~splits))
    say(f"{request.path}: {len(train)} pictures to learn from, {len(validation)} to score")
    return PictureSet(request.path.name, train, validation, request.weight)


def _wanted(
    records: Iterable[PictureRecord], wanted: Sequence[str], labels: Sequence[str]
) -> Iterator[PictureRecord]:
    """Records whose most likely class is wanted, and that the model's labels say something about."""
    order = [EXPRESSIONS.index(label) for label in labels]
    for record in records:
        likeliest = EXPRESSIONS[int(record.votes.argmax())]
        if likeliest in (wanted or labels) and record.votes[order].sum() > 0:
            yield record


def _split(record: PictureRecord, index: int) -> PictureSplit:
    """The set's own, or one by the picture's name, so that it is the same wherever the set lies."""
    if record.split is not None:
        return record.split
    digest = hashlib.sha256(f"{record.source.name} {index}".encode()).digest()
    return "validation" if digest[0] < HELD_OUT * 256 else "train"


def _stacked(crops: list[np.ndarray]) -> np.ndarray:
    """One array; a set with any colour has three channels throughout."""
    if all(crop.ndim == 2 for crop in crops):
        return np.stack(crops)
    return np.stack([np.repeat(crop[..., None], 3, axis=2) if crop.ndim == 2 else crop for crop in crops])


def _tell(path: Path, problems: Sequence[Problem]) -> None:
    for problem in problems[:SHOWN_PROBLEMS]:
        say(f"warning: {problem}")
    if len(problems) > SHOWN_PROBLEMS:
        say(f"warning: {path}: {len(problems) - SHOWN_PROBLEMS} more of the kind")
