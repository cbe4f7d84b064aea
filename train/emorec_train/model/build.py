"""From a configuration to modules."""

from __future__ import annotations

import os
from dataclasses import dataclass

import torch
from torch import nn

from emorec_rt.errors import UsageError
from emorec_train.model.audio import AudioEncoder
from emorec_train.model.config import ModelConfig
from emorec_train.model.fusion import FusionModel, new_fusion
from emorec_train.model.text import TextEncoder
from emorec_train.model.vision import VisionEncoder


@dataclass(frozen=True, slots=True)
class Models:
    """The parts of one model; ``text`` is there for training only, and only with text guidance."""

    vision: VisionEncoder
    audio: AudioEncoder
    fusion: FusionModel
    text: TextEncoder | None = None


def build_models(config: ModelConfig, *, pretrained: bool = True, offline: bool = False) -> Models:
    """Make a new model.

    Args:
        config: Its architecture.
        pretrained: Whether to fill the encoders with the weights that the configuration names, if any.
            That may download them. ``adopt_pretrained`` makes the configuration fit them.
        offline: Take weights that are on this machine.

    Raises:
        WeightsError: The named weights can't be had or don't fit.
    """
    models = Models(
        VisionEncoder(config.vision, config.preprocessing.vision),
        AudioEncoder(config.audio, config.preprocessing.audio),
        new_fusion(config),
        None if config.text is None else TextEncoder(config.text, config.vision),
    )
    if pretrained:
        from emorec_train.model.pretrained import load_pretrained

        load_pretrained(config, models.vision, models.audio, models.text, offline=offline)
    return models


def find_device(name: str) -> torch.device:
    """``cpu``, or the GPU of this process: torchrun numbers them.

    Raises:
        UsageError: There is no GPU.
    """
    if name == "cpu":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no GPU here; leave the option out")
    return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))


def place_encoders(models: Models, device: torch.device) -> Models:
    """Move the encoders to a device, where features are made then; returns the same models."""
    models.vision.to(device)
    models.audio.to(device)
    return models


def freeze(module: nn.Module) -> None:
    """Stop a module from learning: no gradients, no dropout."""
    module.requires_grad_(False)
    module.eval()
