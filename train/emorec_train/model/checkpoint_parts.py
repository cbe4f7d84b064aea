"""Parts that every folder of trained weights here has: the error, the record of the training, the tensors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from emorec_rt.errors import EmorecError


class CheckpointError(EmorecError, ValueError):
    """A checkpoint that can't be used: missing or foreign file, unknown version, weights that don't fit."""

    def __init__(self, path: str | Path, reason: str) -> None:
        self.path = str(path)
        super().__init__(f"{path}: {reason}")


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Record of a training.

    Attributes:
        command: The command line.
        seed: Of everything random in training.
        clips: For each split, the identity of each clip (for generated clips the seed).
        metrics: What it reached, by split and mode.
        settings: The training settings.
        versions: Of the libraries that took part.
    """

    command: str = ""
    seed: int = 0
    clips: dict[str, list[str]] = {}
    metrics: dict[str, Any] = {}
    settings: dict[str, Any] = {}
    versions: dict[str, str] = {}


def load_weights(path: Path, module: nn.Module) -> None:
    """Fill a module from a file and put it in eval mode.

    Raises:
        CheckpointError: The file is missing or damaged, or its tensors are another module's.
    """
    weights = read_weights(path)
    own = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in weights.items()}
    for key in sorted(own.keys() | found.keys()):
        if own.get(key) != found.get(key):
            want, have = _shown(own.get(key)), _shown(found.get(key))
            raise CheckpointError(
                path, f"doesn't fit the configuration beside it: {key} should be {want}, is {have}"
            )
    module.load_state_dict(weights)
    module.eval()


def _shown(shape: tuple[int, ...] | None) -> str:
    return "absent" if shape is None else str(list(shape))


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a file by name; nothing is unpickled.

    Raises:
        CheckpointError: The file is missing or damaged.
    """
    try:
        return load_file(path)
    except FileNotFoundError as error:
        raise CheckpointError(path, "is missing; copy the whole checkpoint folder") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(path, f"is not a safetensors file: {error}") from error
