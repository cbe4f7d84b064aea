"""Training of a part of an encoder: its last blocks, or low-rank updates (LoRA, Hu et al. 2021) by peft.

The result is a plain encoder either way: low-rank updates are merged into the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from torch import nn

from emorec_rt.errors import EmorecError, UsageError
from emorec_train.model.build import freeze
from emorec_train.settings.fields import EncoderSettings

LORA_SCALE: Final = 2
"""``lora_alpha`` relative to the rank."""

_BLOCK_LISTS: Final = ("visual.transformer.resblocks", "wav2vec2.encoder.layers", "visual.trunk.blocks")
"""Module lists of the blocks: CLIP transformers, audio encoders, timm's transformers."""

_RESNET_STAGES: Final = ("visual.layer1", "visual.layer2", "visual.layer3", "visual.layer4")

_UNCALLED: Final = ("MultiheadAttention", "WavLMAttention")
"""Classes that read the weights of the linear layers in them and never call those."""


class LoraUnavailableError(EmorecError, RuntimeError):
    """Low-rank updates are asked for, and peft isn't installed."""


@contextmanager
def learning(encoder: nn.Module, settings: EncoderSettings) -> Iterator[None]:
    """Make the part of an encoder learn that the settings name, while the ``with`` block runs.

    The rest is frozen and in eval mode: no dropout, no statistics of batches. With low-rank updates, so is
    all that they are added to.

    Args:
        encoder: ``VisionEncoder`` or ``AudioEncoder``; low-rank updates are merged into it at the end.
        settings: Says which part.

    Raises:
        UsageError: The encoder has fewer blocks, or none that are known.
        LoraUnavailableError: peft isn't installed.
    """
    if not settings.partial:
        encoder.train()
        yield
        return
    freeze(encoder)
    blocks = last_blocks(encoder, settings.last_blocks)
    if settings.lora_rank:
        with _lora(encoder, blocks, settings.lora_rank):
            yield
        return
    for block in blocks.values():
        block.requires_grad_(True)
        block.train()
    yield


def last_blocks(encoder: nn.Module, count: int) -> dict[str, nn.Module]:
    """The last ``count`` blocks of an encoder by their names in it, 0 for all; of a ResNet, its stages.

    Raises:
        UsageError: It has fewer, or none that are known.
    """
    modules = dict(encoder.named_modules())
    blocks = {name: modules[name] for name in _RESNET_STAGES if name in modules}
    for place in _BLOCK_LISTS:
        if place in modules:
            blocks = {f"{place}.{name}": block for name, block in modules[place].named_children()}
    if not blocks or count > len(blocks):
        raise UsageError(
            f"last_blocks is {count}: this {type(encoder).__name__} has {len(blocks)} known blocks"
        )
    return dict(list(blocks.items())[-count:])


def lora_targets(blocks: dict[str, nn.Module]) -> list[str]:
    """The linear layers of blocks that are called in them, by their names in the encoder."""
    targets = []
    for place, block in blocks.items():
        modules = dict(block.named_modules(prefix=place))
        for name, module in modules.items():
            owner = type(modules.get(name.rpartition(".")[0], block)).__name__
            if isinstance(module, nn.Linear) and owner not in _UNCALLED:
                targets.append(name)
    return targets


@contextmanager
def _lora(encoder: nn.Module, blocks: dict[str, nn.Module], rank: int) -> Iterator[None]:
    targets = lora_targets(blocks)
    if not targets:
        raise UsageError(f"lora_rank: the blocks of this {type(encoder).__name__} have no linear layer")
    try:
        from peft import LoraConfig, LoraModel
    except ImportError as error:
        raise LoraUnavailableError("low-rank updates need peft: pip install 'emorec[lora]'") from error
    config = LoraConfig(r=rank, lora_alpha=LORA_SCALE * rank, target_modules=targets)
    updated = LoraModel(encoder, config, "default")  # puts its layers into the encoder itself
    encoder.eval()
    try:
        yield
    finally:
        updated.merge_and_unload()
        freeze(encoder)
