"""A checkpoint: a folder of JSON and safetensors that says all there is to know about a trained model.

runs/demo/
  checkpoint.json              configuration, how it was trained, what it reached
  vision.safetensors           ``VisionEncoder``
  audio.safetensors            ``AudioEncoder``
  fusion.safetensors           ``FusionModel``
  text_prototypes.safetensors  the class texts, with text guidance only
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from safetensors.torch import save
from torch import Tensor, nn

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.errors import OutputError
from emorec_rt.files import explained, whole_folder, write_whole
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.build import build_models
from emorec_train.model.checkpoint_parts import CheckpointError, TrainingRecord, load_weights, read_weights
from emorec_train.model.config import ModelConfig
from emorec_train.model.fusion import FusionModel
from emorec_train.model.vision import VisionEncoder

SCHEMA_VERSION: Final = 1
FILE_NAME: Final = "checkpoint.json"
PROTOTYPES_FILE_NAME: Final = "text_prototypes.safetensors"
NOTICE_KEY: Final = "notice"
"""Key of a checkpoint's settings: a line for whoever runs a bundle of it."""

_PROTOTYPES_KEY: Final = "prototypes"


class CheckpointFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``checkpoint.json``.

    Attributes:
        format: Tells the file from any other JSON.
        schema_version: Version of this format.
        model: The model's configuration.
        training: How it came about.
        decoding: From logits to labels, as ``train/evaluate.py --tune`` found it; a bundle takes it over.
    """

    format: Literal["emorec-checkpoint"] = "emorec-checkpoint"
    schema_version: Literal[1] = SCHEMA_VERSION
    model: ModelConfig
    training: TrainingRecord
    decoding: Decoding = Decoding()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A loaded checkpoint; its modules are in eval mode.

    Attributes:
        folder: Where it lies.
        config: The model's configuration, preprocessing and labels included.
        training: How it came about.
        vision: uint8 ``[B, H, W, 3]`` to ``[B, Dv]``.
        audio: float32 ``[B, N]`` to ``[B, S, Da]``.
        fusion: Both streams to logits ``[B, T, C]``.
        text_prototypes: ``[C, E]``, or ``None`` without text guidance.
        decoding: Smoothing and prior correction, off unless they were tuned.
    """

    folder: Path
    config: ModelConfig
    training: TrainingRecord
    vision: VisionEncoder
    audio: AudioEncoder
    fusion: FusionModel
    text_prototypes: Tensor | None = None
    decoding: Decoding = field(default_factory=Decoding)


def save_checkpoint(
    folder: Path,
    config: ModelConfig,
    training: TrainingRecord,
    *,
    vision: VisionEncoder,
    audio: AudioEncoder,
    fusion: FusionModel,
    text_prototypes: Tensor | None = None,
) -> None:
    """Write a checkpoint: as a whole, or not at all. One that is there already is replaced.

    Raises:
        OutputError: The folder can't be written, or holds something else than a checkpoint.
    """
    if folder.exists() and not (folder / FILE_NAME).is_file():
        raise OutputError(folder, "exists and is not a checkpoint, so it is not replaced; give another --out")
    modules: dict[str, nn.Module] = {"vision": vision, "audio": audio, "fusion": fusion}
    with whole_folder(folder) as fresh, explained(folder):
        _write(fresh, CheckpointFile(model=config, training=training), modules, text_prototypes)


def _write(
    folder: Path, file: CheckpointFile, modules: dict[str, nn.Module], prototypes: Tensor | None
) -> None:
    for name, module in modules.items():
        state = {key: value.detach().cpu().contiguous() for key, value in module.state_dict().items()}
        # Not save_file: it makes files that nobody else may read.
        (folder / f"{name}.safetensors").write_bytes(save(state))
    if prototypes is not None:
        (folder / PROTOTYPES_FILE_NAME).write_bytes(save({_PROTOTYPES_KEY: prototypes.detach().cpu()}))
    (folder / FILE_NAME).write_bytes(_encoded(file))


def _encoded(file: CheckpointFile) -> bytes:
    return msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n"


def load_checkpoint(folder: str | Path) -> Checkpoint:
    """Read a checkpoint. Nothing is downloaded or unpickled.

    Raises:
        CheckpointError: It is missing, foreign, of another version, or its weights don't fit it.
    """
    folder = Path(folder)
    file = read_checkpoint_file(folder)
    models = build_models(file.model, pretrained=False)
    load_weights(folder / "vision.safetensors", models.vision)
    load_weights(folder / "audio.safetensors", models.audio)
    load_weights(folder / "fusion.safetensors", models.fusion)
    prototypes = None
    if (folder / PROTOTYPES_FILE_NAME).exists():
        prototypes = read_weights(folder / PROTOTYPES_FILE_NAME).get(_PROTOTYPES_KEY)
    return Checkpoint(
        folder,
        file.model,
        file.training,
        models.vision,
        models.audio,
        models.fusion,
        prototypes,
        file.decoding,
    )


def store_decoding(folder: Path, decoding: Decoding, tuning: dict[str, Any]) -> None:
    """Keep a tuned decoding in a checkpoint, and under ``tuned`` in its metrics what it was chosen by.

    Raises:
        CheckpointError: There is not a checkpoint, or the decoding doesn't fit its labels.
        OutputError: It can't be written.
    """
    file = read_checkpoint_file(folder)
    if len(decoding.logit_bias) not in {0, len(file.model.labels)}:
        raise CheckpointError(
            folder, f"has {len(file.model.labels)} labels, the prior correction {len(decoding.logit_bias)}"
        )
    training = msgspec.structs.replace(file.training, metrics={**file.training.metrics, "tuned": tuning})
    file = msgspec.structs.replace(file, decoding=decoding, training=training)
    write_whole(folder / FILE_NAME, _encoded(file))


class _Versioned(msgspec.Struct):
    format: str
    schema_version: int


def read_checkpoint_file(folder: Path) -> CheckpointFile:
    """Read ``checkpoint.json`` alone.

    Raises:
        CheckpointError: It is missing, foreign, or from another version; the message names the field.
    """
    path = folder / FILE_NAME
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            folder, f"is not a checkpoint: {FILE_NAME} can't be read; run train/run.py"
        ) from error
    try:
        head = msgspec.json.decode(raw, type=_Versioned)
        if head.format == "emorec-checkpoint" and head.schema_version != SCHEMA_VERSION:
            raise CheckpointError(
                path,
                f"has schema version {head.schema_version}, this emorec reads {SCHEMA_VERSION}; train again",
            )
        return msgspec.json.decode(raw, type=CheckpointFile)
    except msgspec.DecodeError as error:
        raise CheckpointError(path, f"is not a checkpoint of emorec: {error}") from error


def newest_checkpoint(runs_folder: str | Path) -> Path:
    """The folder in ``runs_folder`` whose checkpoint was written last.

    Raises:
        CheckpointError: There is none.
    """
    files = sorted(Path(runs_folder).glob(f"*/{FILE_NAME}"), key=lambda file: file.stat().st_mtime)
    if not files:
        raise CheckpointError(runs_folder, "holds no checkpoint; run train/run.py first")
    return files[-1].parent
