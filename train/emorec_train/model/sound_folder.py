"""A sound encoder trained here, as a folder: ``train/voices.py`` writes, ``--audio voices:FOLDER`` reads it.

``audio.safetensors`` holds the encoder, ``encoder.json`` its architecture, preprocessing with the gate,
statistics for running normalisation, and how it came about.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from emorec_rt.bundle.manifest import Audio, Statistics
from emorec_rt.errors import OutputError
from emorec_rt.files import write_whole
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.config import AudioConfig, ModelConfig
from emorec_train.model.hub import WeightsError

PREFIX: Final = "voices:"
WEIGHTS_FILE: Final = "audio.safetensors"
CONFIG_FILE: Final = "encoder.json"


class SoundEncoderFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``encoder.json``.

    Attributes:
        audio: The architecture.
        preprocessing: The audio part of a model's preprocessing.
        statistics: The audio part of its running normalisation.
        training: How the encoder came about.
    """

    audio: AudioConfig
    preprocessing: Audio
    statistics: Statistics
    training: dict[str, Any] = {}


def is_sound_encoder(pretrained: str) -> bool:
    """Say whether a name of weights is such a folder's."""
    return pretrained.startswith(PREFIX)


def adopt_sound_encoder(config: ModelConfig) -> ModelConfig:
    """The configuration with architecture, preprocessing and statistics of the folder that it names.

    Raises:
        WeightsError: There is none.
    """
    replace, name = msgspec.structs.replace, config.audio.pretrained
    _, file = read_sound_encoder(Path(name.removeprefix(PREFIX)))
    normalization = replace(config.preprocessing.normalization, audio=file.statistics)
    preprocessing = replace(config.preprocessing, audio=file.preprocessing, normalization=normalization)
    return replace(config, audio=replace(file.audio, pretrained=name), preprocessing=preprocessing)


def load_sound_encoder(pretrained: str, audio: AudioEncoder) -> None:
    """Fill an encoder of the adopted configuration.

    Raises:
        WeightsError: The folder can't be read.
    """
    encoder, _ = read_sound_encoder(Path(pretrained.removeprefix(PREFIX)))
    audio.load_state_dict(encoder.state_dict())


def write_sound_encoder(folder: Path, encoder: AudioEncoder, file: SoundEncoderFile) -> None:
    """Write weights and description.

    Raises:
        OutputError: The folder can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, f"can't be made ({error.strerror})") from error
    state = {key: value.detach().cpu().contiguous() for key, value in encoder.state_dict().items()}
    write_whole(folder / WEIGHTS_FILE, save(state))
    write_whole(folder / CONFIG_FILE, msgspec.json.format(msgspec.json.encode(file), indent=2) + b"\n")


def read_sound_encoder(folder: Path) -> tuple[AudioEncoder, SoundEncoderFile]:
    """Read what ``write_sound_encoder`` wrote; nothing is unpickled.

    Raises:
        WeightsError: It is missing, or its weights don't fit.
    """
    try:
        file = msgspec.json.decode((folder / CONFIG_FILE).read_bytes(), type=SoundEncoderFile)
        encoder = AudioEncoder(file.audio, file.preprocessing)
        encoder.load_state_dict(load_file(folder / WEIGHTS_FILE))
    except (OSError, msgspec.DecodeError, SafetensorError, RuntimeError) as error:
        raise WeightsError(str(folder), f"hold no sound encoder: {error}") from error
    return encoder.eval(), file
