"""Still faces and talking faces: the visual side of benchmarks/people.py."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
from numpy.typing import NDArray
from people_methods import Method
from people_scores import Figure, Measure, accuracy, interval, macro_f1

from emorec_rt.bundle.manifest import Vision
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.faces import FaceCropper
from emorec_rt.media import open_media
from emorec_rt.media.types import Frame
from emorec_train.data.pictures.opening import open_pictures, picture_request
from emorec_train.data.pictures.types import as_rgb
from emorec_train.evaluation import metrics

SECTION: Final = "faces"
CLASSES_OF_OTHERS: Final = EXPRESSIONS[:-1]
"""Classes that ``fer`` and face-api tell apart: all but Other."""

_SPEC = Vision(crop_size=48, margin=0.0, mean=(0.5,) * 3, std=(0.25,) * 3, embedding_dim=1)


@dataclass(frozen=True, eq=False)
class Material:
    """Face crops with their classes.

    Attributes:
        name: For the table.
        crops: uint8 ``[N, S, S, 3]``, framed without a margin.
        truth: int64 ``[N]``, index into ``EXPRESSIONS``.
        groups: int64 ``[N]``, the clip that a crop is of.
    """

    name: str
    crops: NDArray[np.uint8]
    truth: NDArray[np.int64]
    groups: NDArray[np.int64]


def stills(name: str, request: str, side: int) -> Material:
    """Validation pictures of a packed set."""
    spec = msgspec.structs.replace(_SPEC, crop_size=side)
    pictures = open_pictures(picture_request(request), spec, EXPRESSIONS).validation
    return Material(name, as_rgb(pictures.pixels), pictures.labels, np.arange(len(pictures)))


def talking(name: str, folder: Path, side: int = 112) -> Material:
    """Frames of a folder of talking faces that are neutral throughout, found and cropped as at run time."""
    crops: list[NDArray[np.uint8]] = []
    groups: list[int] = []
    for number, path in enumerate(sorted(folder.iterdir())):
        cropper = FaceCropper(size=side, margin=0.0)
        for item in open_media(path):
            crop = cropper.process(item) if isinstance(item, Frame) else None
            if crop is not None and crop.pixels is not None:
                crops.append(crop.pixels)
                groups.append(number)
    truth = np.full(len(crops), EXPRESSIONS.index("Neutral"))
    return Material(name, np.stack(crops), truth, np.array(groups))


def materials(data: Path, media: Path) -> list[Material]:
    """All that the section is about.

    Args:
        data: Folder with ``faces/ferplus.npz`` and ``faces/posed_ccby.npz``.
        media: Folder with ``faces/grid``.
    """
    return [
        stills("FER+ valid", f"npz:{data / 'faces/ferplus.npz'}", 48),
        stills("posed CC BY valid", f"npz,margin=0.2:{data / 'faces/posed_ccby.npz'}", 80),
        talking("GRID, all neutral", media / "faces/grid"),
    ]


def figures(material: Material, name: str, method: Method) -> list[Figure]:
    """Each measure of a method on a material."""
    probabilities = method(material.crops)
    told = [_figure(material, name, "accuracy", accuracy, probabilities)]
    if len(np.unique(material.truth)) > 2:
        told.append(_figure(material, name, "macro F1", macro_f1, probabilities))
        shared = material.truth < len(CLASSES_OF_OTHERS)
        part = Material(
            material.name, material.crops[shared], material.truth[shared], material.groups[shared]
        )
        seven = probabilities[shared][:, : len(CLASSES_OF_OTHERS)]
        told += [
            _figure(part, name, "accuracy, 7 classes", accuracy, seven),
            _figure(part, name, "macro F1, 7 classes", macro_f1, seven),
        ]
    return told


def _figure(
    material: Material, method: str, name: str, measure: Measure, probabilities: NDArray[np.float32]
) -> Figure:
    given = probabilities.argmax(axis=1)
    low, high = interval(measure, material.truth, given, material.groups)
    return Figure(
        SECTION,
        material.name,
        method,
        name,
        measure(material.truth, given),
        low,
        high,
        len(material.truth),
    )


def confusion(data: Path, method: Method) -> list[list[int]]:
    """Confusion of the FER+ validation pictures: true classes in rows, read ones in columns."""
    material = stills("FER+ valid", f"npz:{data / 'faces/ferplus.npz'}", 48)
    given = method(material.crops).argmax(axis=1)
    table: list[list[int]] = metrics.confusion(material.truth, given, len(EXPRESSIONS)).tolist()
    return table


def faces(data: Path, media: Path, methods: Mapping[str, Method]) -> list[Figure]:
    """The whole section; a line is printed as each figure is known."""
    found: list[Figure] = []
    for material in materials(data, media):
        for name, method in methods.items():
            for figure in figures(material, name, method):
                print(figure, flush=True)
                found.append(figure)
    return found
