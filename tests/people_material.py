"""A tiny folder of faces, voices and speech, as the default model is made from, and encoders that fit it."""

from __future__ import annotations

from pathlib import Path

import cv2
import msgspec
import numpy as np
import torch

from emorec_rt.bundle.manifest import Audio, Gate, Statistics, Vision
from emorec_rt.constants import EXPRESSIONS
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.config import AudioConfig, ConvConfig, VisionConfig
from emorec_train.model.sound_folder import SoundEncoderFile, write_sound_encoder
from emorec_train.model.stills import StillModel
from emorec_train.model.stills_files import StillsFile, save_stills
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.fields import Preset
from emorec_train.settings.presets import PRESETS
from recording_files import write_folder

SIDE, WIDTH = 16, 8
CROPS = Vision(crop_size=SIDE, margin=0.0, mean=(0.5,) * 3, std=(0.25,) * 3, embedding_dim=WIDTH)
_ACTED = ("Neutral", "Anger", "Happiness")
_CONV = VisionConfig(image_size=SIDE, embed_dim=WIDTH, conv=ConvConfig(channels=(4,), depths=(1,)))
_MEL = AudioConfig(kind="mel", width=WIDTH, layers=1, intermediate=8, position_kernel=3, mel_bands=16)


def write_material(folder: Path) -> Path:
    """Four pictures a class and split, three speakers who act, two who don't, and a noise."""
    (folder / "faces").mkdir(parents=True)
    for name in ("ferplus.npz", "posed_ccby.npz", "wild.npz"):
        _write_pictures(folder / "faces" / name)
    rows = [
        f"{speaker}-{label}-{take}.wav,{speaker},{label},{fold},train"
        for fold, speaker in enumerate(("s0", "s1", "s2"))
        for label in _ACTED
        for take in range(2)
    ]
    write_folder(folder / "voices", "\n".join(["file,speaker,label,fold,split", *rows]) + "\n")
    speech = ("a.wav,x,p1,train", "b.wav,x,p2,heldout", "noise/n.wav,noise,,train")
    write_folder(folder / "speech", "\n".join(["file,corpus,speaker,split", *speech]) + "\n")
    return folder


def _write_pictures(path: Path) -> None:
    rng = np.random.default_rng(0)
    labels = np.tile(np.arange(len(EXPRESSIONS)), 8)
    encoded = [
        cv2.imencode(".png", (20 * label + rng.integers(0, 60, (SIDE, SIDE))).astype(np.uint8))[1].ravel()
        for label in labels
    ]
    offset = np.cumsum([0, *map(len, encoded)])
    split = np.arange(len(labels)) % 16 // 8
    np.savez(path, png=np.concatenate(encoded), offset=offset, label=labels, split=split)


def write_encoders(folder: Path) -> tuple[Path, Path]:
    """Random weights as the two stages before the fusion leave them."""
    torch.manual_seed(0)
    vision = VisionEncoder(_CONV, CROPS)
    file = StillsFile(labels=EXPRESSIONS, preprocessing=CROPS, vision=_CONV, training=TrainingRecord())
    save_stills(folder / "pictures", file, StillModel(vision, None, EXPRESSIONS))
    spec = Audio(chunk_tokens=50, context_tokens=10, normalize=False, embedding_dim=WIDTH, gate=Gate())
    statistics = Statistics(mean=(0.0,) * WIDTH, deviation=(1.0,) * WIDTH, prior_count=50, memory_count=100)
    write_sound_encoder(
        folder / "voices",
        AudioEncoder(_MEL, spec),
        SoundEncoderFile(audio=_MEL, preprocessing=spec, statistics=statistics),
    )
    return folder / "pictures", folder / "voices"


def tiny_preset(clips: int = 6) -> Preset:
    """The people preset with a fusion that learns in a second."""
    replace, own = msgspec.structs.replace, PRESETS["people"]
    fusion = replace(own.model.fusion, width=16, head_width=8, heads=2, tcn_layers=1)
    return replace(
        own,
        clips=clips,
        model=replace(own.model, fusion=fusion),
        fusion=replace(own.fusion, epochs=1, batch=8),
    )
