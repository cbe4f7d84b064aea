"""A model from CLIP alone: labels given in words, no training, no score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
import torch

from emorec_rt.errors import UsageError
from emorec_train.console import say
from emorec_train.data.synthetic import ClipSpec, Split, clip_seeds
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.build import build_models
from emorec_train.model.checkpoint import NOTICE_KEY, save_checkpoint
from emorec_train.model.checkpoint_parts import TrainingRecord
from emorec_train.model.config import AudioConfig, ModelConfig
from emorec_train.model.fusion import new_fusion
from emorec_train.model.text import frozen_prototypes, prompts
from emorec_train.model.vision import VisionEncoder
from emorec_train.settings.presets import REFERENCE
from emorec_train.training.encoders import EncoderChoice, choose_encoders

NOTICE: Final = (
    "zero-shot: labels by CLIP's texts alone; nothing was trained for them, and no score was measured"
)
CLIPS: Final[dict[Split, int]] = {"train": 24, "validation": 8, "test": 12}
"""Generated clips that a build calibrates and compares on."""

SILENT: Final = AudioConfig(
    width=16,
    layers=1,
    heads=2,
    intermediate=16,
    conv_channels=(8,) * 7,
    position_kernel=4,
    position_groups=2,
)
"""Stands where a bundle has its sound encoder; nothing listens to it."""


@dataclass(frozen=True, slots=True)
class ZeroShot:
    """Options of a zero-shot model.

    Attributes:
        labels: Classes in words.
        templates: Prompts, each with one ``{}`` where the label goes; empty for those of the reference.
        out: Folder of the checkpoint.
        encoders: CLIP weights with a text tower.
        command: The command line, for the record.
    """

    labels: tuple[str, ...]
    templates: tuple[str, ...]
    out: Path
    encoders: EncoderChoice
    command: str


def make_zero_shot(request: ZeroShot) -> ModelConfig:
    """Write a checkpoint whose visual encoder gives the similarity to each label's text.

    Raises:
        UsageError: There are fewer than two labels, or the weights have no text tower.
        EmorecError: The weights can't be had, or the checkpoint can't be written.
    """
    if len(set(request.labels)) < max(2, len(request.labels)):
        raise UsageError(f"--labels {','.join(request.labels)}: give two or more, each once")
    named = _named(request)
    torch.manual_seed(0)
    models = build_models(named, pretrained=request.encoders.pretrained, offline=request.encoders.offline)
    if models.text is None or named.text is None:
        raise UsageError(f"{named.vision.pretrained}: has no text tower, and zero-shot labels are texts")
    for label in request.labels:
        say(f"{label}: {'; '.join(prompts(label, named.text))}")
    config = zero_shot_config(named)
    vision = VisionEncoder(config.vision, config.preprocessing.vision)
    vision.visual.load_state_dict(models.vision.visual.state_dict())
    assert vision.prototypes is not None  # noqa: S101 - the configuration has some
    vision.prototypes.copy_(frozen_prototypes(models.text, request.labels))
    record = TrainingRecord(
        command=request.command,
        clips={
            str(split): [str(seed) for seed in clip_seeds(split, count)] for split, count in CLIPS.items()
        },
        settings={"clip_seconds": ClipSpec().seconds, NOTICE_KEY: NOTICE},
    )
    save_checkpoint(
        request.out,
        config,
        record,
        vision=vision,
        audio=AudioEncoder(config.audio, config.preprocessing.audio),
        fusion=new_fusion(config),
    )
    say(NOTICE)
    return config


def _named(request: ZeroShot) -> ModelConfig:
    """The reference's model with these labels, prompts and weights, and without its sound encoder."""
    replace, model = msgspec.structs.replace, REFERENCE.model
    spec = replace(model.preprocessing, audio=replace(model.preprocessing.audio, embedding_dim=SILENT.width))
    model = replace(model, labels=request.labels, preprocessing=spec, audio=SILENT)
    if request.templates and model.text is not None:
        text = replace(model.text, adjective_templates=request.templates, noun_templates=())
        model = replace(model, text=text)
    return choose_encoders(replace(REFERENCE, model=model), request.encoders).model


def zero_shot_config(named: ModelConfig) -> ModelConfig:
    """The configuration of a model without training, for the towers of another."""
    replace, classes, spec = msgspec.structs.replace, len(named.labels), named.preprocessing
    return replace(
        named,
        preprocessing=replace(spec, vision=replace(spec.vision, embedding_dim=classes)),
        vision=replace(named.vision, prototypes=classes),
        text=None,
        fusion=replace(named.fusion, mode="zero_shot"),
    )
