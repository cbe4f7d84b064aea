"""Result of the stage for still pictures: a folder of JSON and safetensors.

runs/people-stills/
  stills.json                  configuration, how it was trained, what it reached
  vision.safetensors           ``VisionEncoder``
  text.safetensors             ``TextEncoder``, with text guidance only
  text_prototypes.safetensors  its class texts
  head.safetensors             the linear head, for scores; a bundle doesn't have it
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from safetensors.torch import save
from torch import Tensor

from emorec_rt.bundle.manifest import Vision
from emorec_rt.errors import UsageError
from emorec_rt.files import WholeFile
from emorec_train.model.checkpoint_parts import CheckpointError, TrainingRecord, load_weights
from emorec_train.model.config import TextConfig, VisionConfig
from emorec_train.model.stills import StillModel
from emorec_train.model.text import TextEncoder, frozen_prototypes
from emorec_train.model.vision import VisionEncoder

FILE_NAME: Final = "stills.json"
VISION_FILE: Final = "vision.safetensors"
TEXT_FILE: Final = "text.safetensors"
PROTOTYPES_FILE: Final = "text_prototypes.safetensors"
HEAD_FILE: Final = "head.safetensors"


class StillsFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``stills.json``.

    Attributes:
        format: Tells the file from any other JSON.
        schema_version: Version of this format.
        labels: Class names in the order of the head's logits.
        preprocessing: How crops are made.
        vision: The visual tower.
        text: The text tower; ``None`` without text guidance.
        training: How it came about.
    """

    format: Literal["emorec-stills"] = "emorec-stills"
    schema_version: Literal[1] = 1
    labels: tuple[str, ...]
    preprocessing: Vision
    vision: VisionConfig
    text: TextConfig | None = None
    training: TrainingRecord


@dataclass(frozen=True, slots=True)
class Stills:
    """A trained visual encoder with its head and text tower; all in eval mode."""

    folder: Path
    file: StillsFile
    model: StillModel


def save_stills(folder: Path, file: StillsFile, model: StillModel) -> None:
    """Write the folder; ``stills.json`` comes last, so that a folder that has it is complete.

    Raises:
        OutputError: It can't be written.
    """
    _write(folder / VISION_FILE, model.vision.state_dict())
    _write(folder / HEAD_FILE, model.head.state_dict())
    if model.text_head is not None:
        text = model.text_head.text
        _write(folder / TEXT_FILE, text.state_dict())
        _write(folder / PROTOTYPES_FILE, {"prototypes": frozen_prototypes(text, file.labels)})
    with WholeFile(folder / FILE_NAME) as out:
        out.write(msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")


def load_stills(folder: str | Path) -> Stills:
    """Read such a folder.

    Raises:
        CheckpointError: It is missing, foreign or damaged.
    """
    folder = Path(folder)
    file = read_stills_file(folder)
    vision = VisionEncoder(file.vision, file.preprocessing)
    text = None if file.text is None else TextEncoder(file.text, file.vision)
    model = StillModel(vision, text, file.labels)
    load_weights(folder / VISION_FILE, vision)
    load_weights(folder / HEAD_FILE, model.head)
    if text is not None:
        load_weights(folder / TEXT_FILE, text)
    return Stills(folder, file, model.eval())


def read_stills_file(folder: Path) -> StillsFile:
    """Read ``stills.json`` alone.

    Raises:
        CheckpointError: It is missing or foreign.
    """
    try:
        return msgspec.json.decode((folder / FILE_NAME).read_bytes(), type=StillsFile)
    except OSError as error:
        raise CheckpointError(
            folder, f"holds no encoder of stills: {FILE_NAME} can't be read; run train/pictures.py"
        ) from error
    except (msgspec.DecodeError, UsageError) as error:
        raise CheckpointError(folder / FILE_NAME, f"isn't valid: {error}") from error


def _write(path: Path, state: dict[str, Any]) -> None:
    tensors: dict[str, Tensor] = {name: value.detach().cpu().contiguous() for name, value in state.items()}
    with WholeFile(path) as out:
        out.write(save(tensors))
