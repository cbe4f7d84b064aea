"""The sound encoder of people as a stage: from recordings and a teacher to weights and statistics."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Audio, Gate, Statistics
from emorec_rt.constants import TOKEN_HOP_SAMPLES, TOKEN_RECEPTIVE_SAMPLES
from emorec_rt.errors import OutputError
from emorec_rt.windows.gate import LevelGate, token_levels
from emorec_train.console import say, tracked
from emorec_train.data.recordings import Recording, SoundTable, load_sounds, read_speech, read_voices
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.config import AudioConfig
from emorec_train.model.sound_folder import SoundEncoderFile, read_sound_encoder, write_sound_encoder
from emorec_train.training.sound_distill import DistillSettings, distill, make_targets
from emorec_train.training.teacher import read_teacher

HELD_OUT: Final = "heldout"
"""Split of the speech that no stage learns from."""

ARCHITECTURE: Final = AudioConfig(
    kind="mel", width=128, layers=4, intermediate=512, position_kernel=9, mel_bands=64
)
PREPROCESSING: Final = Audio(normalize=False, embedding_dim=ARCHITECTURE.width, gate=Gate())
PRIOR_COUNT: Final = 150.0
"""Tokens that weigh as much as the training's statistics do: 3 s of sound."""

MEMORY_COUNT: Final = 1500.0
"""30 s of sound."""


def make_sound_encoder(
    data: Path,
    teacher: Path,
    out: Path,
    settings: DistillSettings,
    device: torch.device,
    start: Path | None = None,
) -> AudioEncoder:
    """Train the encoder and write it to a folder.

    Args:
        data: Folder with ``voices`` and ``speech``.
        teacher: See ``read_teacher``.
        out: Folder to write to; it also keeps the state of a run that is stopped.
        settings: How long and how fast.
        device: Where it learns.
        start: Folder of an encoder whose weights it begins with.

    Raises:
        DatasetError: The data can't be read.
        UsageError: The teacher can't.
        CheckpointError: ``out`` holds the state of another run.
        OutputError: ``out`` can't be written.
    """
    source = read_teacher(teacher)
    begun = None if start is None else read_sound_encoder(start)[0]
    speech = read_speech(data / "speech")
    spoken = [one for one in speech if not one.noise and one.split != HELD_OUT]
    acted = read_voices(data / "voices")
    learnt = [*acted, *spoken]
    sounds = load_sounds(learnt, "recordings")
    noises = load_sounds([one for one in speech if one.noise], "noises")
    _make_folder(out)
    weights = np.where(np.arange(len(learnt)) < len(acted), settings.acted_weight, 1.0)
    targets = make_targets(source, sounds, weights, device)
    noise = np.concatenate([noises.samples(index) for index in range(len(noises))])
    encoder = distill(
        ARCHITECTURE, PREPROCESSING, targets, noise, settings, device=device, keep=out, start=begun
    )
    write_sound_encoder(out, encoder, _described(encoder, sounds, learnt, settings))
    say(f"wrote {out}")
    return encoder


def _described(
    encoder: AudioEncoder, sounds: SoundTable, learnt: list[Recording], settings: DistillSettings
) -> SoundEncoderFile:
    heard = np.concatenate(
        [
            sounding_tokens(encoder, PREPROCESSING, sounds.samples(index))
            for index in tracked(range(len(sounds)), "statistics", len(sounds))
        ]
    )
    statistics = Statistics(
        mean=tuple(heard.mean(axis=0).round(5).tolist()),
        deviation=tuple(heard.std(axis=0).round(5).tolist()),
        prior_count=PRIOR_COUNT,
        memory_count=MEMORY_COUNT,
    )
    training = {
        "settings": msgspec.to_builtins(settings),
        "recordings": len(learnt),
        "speakers": len({one.speaker for one in learnt}),
        "minutes": round(float(sounds.lengths.sum()) / 16_000 / 60, 1),
    }
    return SoundEncoderFile(
        audio=ARCHITECTURE, preprocessing=PREPROCESSING, statistics=statistics, training=training
    )


@torch.inference_mode()
def sounding_tokens(encoder: AudioEncoder, spec: Audio, samples: NDArray[np.float32]) -> NDArray[np.float32]:
    """Tokens of one recording that the gate lets through, float32 ``[S, D]``."""
    count = (len(samples) - TOKEN_RECEPTIVE_SAMPLES) // TOKEN_HOP_SAMPLES + 1
    if count < 1:
        return np.zeros((0, spec.embedding_dim), np.float32)
    tokens = encoder(torch.from_numpy(samples)[None])[0, :count].numpy()
    if spec.gate is None:
        return np.asarray(tokens)
    levels, gate = token_levels(samples, 0, count), LevelGate(spec.gate)
    gate.add(levels)
    return np.asarray(tokens[gate.open(levels)])


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(folder, f"can't be made ({error.strerror})") from error
