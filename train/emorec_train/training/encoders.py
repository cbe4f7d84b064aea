"""Encoders of a model: which weights they start from, and whether they learn."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from torch import nn

from emorec_rt.errors import UsageError
from emorec_train.console import say
from emorec_train.model.build import Models, freeze
from emorec_train.model.pretrained import adopt_pretrained
from emorec_train.settings.fields import EncoderSettings, Preset


@dataclass(frozen=True, slots=True)
class EncoderChoice:
    """Choice of a model's encoders.

    Attributes:
        vision: CLIP weights instead of the preset's, see ``clip_files.find_clip``; frozen, unless the preset
            makes a part of them learn. Empty for those of the preset.
        audio: The same for sound: a Hugging Face id or a folder.
        pretrained: Load published weights; otherwise all weights are random.
        offline: Use local files only.
    """

    vision: str = ""
    audio: str = ""
    pretrained: bool = True
    offline: bool = False


def trains_encoders(preset: Preset) -> bool:
    """True if the preset trains an encoder, rather than take both frozen."""
    return preset.vision.steps > 0 or preset.audio.steps > 0


def choose_encoders(preset: Preset, choice: EncoderChoice) -> Preset:
    """The preset with the encoders that were chosen, their architecture and their preprocessing.

    Raises:
        UsageError: Weights are named but not to be loaded, or their name has an unknown form; or a part of an
            encoder is to learn in 0 steps.
        WeightsError: Weights can't be had.
    """
    if (choice.vision or choice.audio) and not choice.pretrained:
        raise UsageError("--vision and --audio name weights, and --random-encoders loads none")
    _require_steps("vision", preset.vision)
    _require_steps("audio", preset.audio)
    replace, model = msgspec.structs.replace, preset.model
    if choice.vision:
        model = replace(model, vision=replace(model.vision, pretrained=choice.vision, revision=""))
        preset = replace(preset, vision=_frozen_but_for_parts("vision", preset.vision))
    if choice.audio:
        model = replace(model, audio=replace(model.audio, pretrained=choice.audio, revision=""))
        preset = replace(preset, audio=_frozen_but_for_parts("audio", preset.audio))
    if choice.pretrained:
        model = adopt_pretrained(model, offline=choice.offline)
    return replace(preset, model=model)


def _require_steps(name: str, settings: EncoderSettings) -> None:
    if settings.partial and not settings.steps:
        raise UsageError(
            f"{name}.last_blocks and {name}.lora_rank say what learns, and {name}.steps is 0: nothing would;"
            f" give --set {name}.steps=500, or neither of them"
        )


def _frozen_but_for_parts(name: str, settings: EncoderSettings) -> EncoderSettings:
    """Settings without steps: named weights are not overwritten, unless a part of them is to learn."""
    if settings.partial or not settings.steps:
        return settings
    say(
        f"note: weights of --{name} stay as they are: {name}.steps={settings.steps} is left out;"
        f" {name}.last_blocks or {name}.lora_rank makes a part of them learn"
    )
    return msgspec.structs.replace(settings, steps=0)


def freeze_encoders(models: Models) -> None:
    """Freeze all encoders."""
    for module in encoders_of(models).values():
        freeze(module)


def encoders_of(models: Models) -> dict[str, nn.Module]:
    """The encoders by name, the text tower among them where there is one."""
    modules = {"vision": models.vision, "audio": models.audio, "text": models.text}
    return {name: module for name, module in modules.items() if module is not None}
