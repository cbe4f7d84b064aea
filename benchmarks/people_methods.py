"""Ways to recognise the expression of a face crop: ours, and packages that others install.

Each takes uint8 crops ``[N, S, S, 3]``, RGB, framed as YuNet's box without a margin, and gives float32
``[N, 8]``, a probability for each of ``EXPRESSIONS``, 0 for a class that it doesn't have.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from people_chain import Chain

from emorec_rt.bundle.manifest import Precision
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.faces.crop import scaled
from emorec_train.data.pictures.types import Pictures
from emorec_train.evaluation.stills import still_logits
from emorec_train.model.stills_files import load_stills

Method = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
HERE: Final = Path(__file__).parent
HELD_SECONDS: Final = 2.4

NAMES: Final[Mapping[str, str]] = {
    "neutral": "Neutral",
    "angry": "Anger",
    "disgust": "Disgust",
    "disgusted": "Disgust",
    "fear": "Fear",
    "fearful": "Fear",
    "happy": "Happiness",
    "sad": "Sadness",
    "surprise": "Surprise",
    "surprised": "Surprise",
}
"""Other packages' words for ``EXPRESSIONS``."""


def stills(folder: Path) -> Method:
    """Encoder that ``train/pictures.py`` has written, under its linear head."""
    found = load_stills(folder)
    size = found.file.preprocessing.crop_size

    def method(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        targets = np.zeros((len(crops), len(found.file.labels)), np.float32)
        logits = still_logits(found.model, Pictures(_sized(crops, size), targets), grey=False)
        return _by_expression(_softmax(logits), found.file.labels)

    return method


def bundle(folder: Path | None, precision: Precision) -> Method:
    """A bundle that sees one face as long as a window, without sound; ``None`` takes the one that ships."""
    chain = Chain(folder, precision)
    size = chain.spec.vision.crop_size

    def method(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        said = [chain.mean(face, None, HELD_SECONDS) for face in _sized(crops, size)]
        return _by_expression(np.stack(said), chain.labels)

    return method


def neutral(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Say Neutral, whatever the face: the most frequent class."""
    return np.tile(np.eye(len(EXPRESSIONS), dtype=np.float32)[0], (len(crops), 1))


def fer(python: Path) -> Method:
    """The package ``fer``, in an environment of its own."""

    def method(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as folder:
            np.save(Path(folder) / "crops.npy", crops)
            return _outside([str(python), str(HERE / "people_fer.py"), f"{folder}/crops.npy"])

    return method


def face_api(folder: Path) -> Method:
    """The npm package @vladmandic/face-api, in a folder of its own."""

    def method(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        with tempfile.TemporaryDirectory() as scratch:
            crops.tofile(Path(scratch) / "crops.bin")
            program = ["node", str(HERE / "people_face_api.mjs"), str(folder), f"{scratch}/crops.bin"]
            return _outside([*program, str(len(crops)), str(crops.shape[1])])

    return method


def _outside(command: list[str]) -> NDArray[np.float32]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[1]} failed: {done.stderr.strip().splitlines()[-1]}")
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])
    return _by_expression(np.array(found["rows"], np.float32), [NAMES[name] for name in found["labels"]])


def _by_expression(
    probabilities: NDArray[np.float32], labels: tuple[str, ...] | list[str]
) -> NDArray[np.float32]:
    ordered = np.zeros((len(probabilities), len(EXPRESSIONS)), np.float32)
    ordered[:, [EXPRESSIONS.index(label) for label in labels]] = probabilities
    return ordered


def _sized(crops: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    return np.stack([scaled(crop, size) for crop in crops])


def _softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(torch.from_numpy(logits).softmax(dim=1).numpy(), np.float32)
