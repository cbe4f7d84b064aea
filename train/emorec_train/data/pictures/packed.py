"""Pictures in one ``.npz`` file: encoded one by one, with labels or votes, and a split."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets.record import DatasetError, Problem
from emorec_train.data.pictures.published import FERPLUS, ferplus_votes
from emorec_train.data.pictures.record import PictureRecord, certain
from emorec_train.data.pictures.types import PictureSplit

_SPLITS: Final[tuple[PictureSplit, PictureSplit]] = ("train", "validation")

FERPLUS_ORDER: Final = (0, 4, 6, 5, 1, 2, 3, 7, 8, 9)
"""Place of each of ``FERPLUS`` in a packed file, which has ``EXPRESSIONS``' order and then contempt, unknown
and no face."""


def read_packed(root: Path, problems: list[Problem]) -> Iterator[PictureRecord]:
    """Yield the pictures of an ``.npz`` file.

    Its arrays: ``png`` or ``jpeg``, the encoded pictures one after the other, uint8, and ``offset``, where
    each begins, ``[N + 1]``; ``label``, index into ``EXPRESSIONS``, ``[N]``; where ten taggers voted,
    ``votes`` ``[N, 10]`` as in ``FERPLUS_ORDER``; ``split``, 0 for training and 1 for validation.
    """
    arrays = _arrays(root)
    data, offset = arrays["png" if "png" in arrays else "jpeg"], arrays["offset"]
    for index in range(len(offset) - 1):
        split = _SPLITS[int(arrays["split"][index])]
        votes = _votes(arrays, index, split)
        if votes is None:
            problems.append(Problem(root, f"picture {index} has no label of a face; left out"))
            continue
        yield PictureRecord(Path(f"{root}:{index}"), votes, split, data[offset[index] : offset[index + 1]])


def _arrays(path: Path) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise DatasetError(path, f"can't be read as an .npz file ({error})") from error
    absent = [name for name in ("offset", "label", "split") if name not in arrays]
    if absent or not ("png" in arrays or "jpeg" in arrays):
        raise DatasetError(path, f"lacks the array {', '.join(absent) or 'png or jpeg'}")
    return arrays


def _votes(arrays: Mapping[str, NDArray[Any]], index: int, split: PictureSplit) -> NDArray[np.float32] | None:
    """Votes to learn from; pictures of the validation split are scored by their label."""
    if "votes" in arrays and split == "train":
        return ferplus_votes(arrays["votes"][index].astype(np.float32)[list(FERPLUS_ORDER)])
    label = int(arrays["label"][index])
    return certain(EXPRESSIONS[label]) if 0 <= label < len(EXPRESSIONS) else None


assert len(FERPLUS_ORDER) == len(FERPLUS)  # noqa: S101 - a broken constant must not import
