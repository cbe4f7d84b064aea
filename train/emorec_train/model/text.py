"""Class names to CLIP text prototypes.

Shapes: ``P`` prompts, ``L`` tokens of a prompt, ``C`` classes, ``E`` CLIP's embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
import torch.nn.functional as F
from open_clip import SimpleTokenizer
from open_clip.model import CLIPTextCfg, _build_text_tower
from torch import Tensor, nn

from emorec_train.model.config import TextConfig, VisionConfig

WORDS: Final[dict[str, tuple[str, str]]] = {
    "Neutral": ("neutral", "no emotion"),
    "Anger": ("angry", "anger"),
    "Disgust": ("disgusted", "disgust"),
    "Fear": ("afraid", "fear"),
    "Happiness": ("happy", "happiness"),
    "Sadness": ("sad", "sadness"),
    "Surprise": ("surprised", "surprise"),
    "Other": ("hard to read", "another emotion"),
}
"""For each label the adjective and the noun that the templates take; other labels stand for themselves."""


class TextEncoder(nn.Module):
    """open_clip's ``TextTransformer`` with CLIP's own tokenizer.

    Args:
        config: The tower's architecture.
        vision: The visual tower, whose embedding and activation it shares unless ``config`` has its own.
    """

    def __init__(self, config: TextConfig, vision: VisionConfig) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = SimpleTokenizer(context_length=config.context_length)
        self.tower: nn.Module = _build_text_tower(
            config.embed_dim or vision.embed_dim,
            text_tower_config(config),
            quick_gelu=vision.quick_gelu if config.quick_gelu is None else config.quick_gelu,
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Encode prompts, int64 ``[P, L]``, to ``[P, E]``, not normalised."""
        embeddings: Tensor = self.tower(tokens)
        return embeddings

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Texts to int64 ``[P, L]``, cut at the context length."""
        tokens: Tensor = self.tokenizer(list(texts))
        return tokens

    def prototypes(self, labels: Sequence[str]) -> Tensor:
        """One vector a class, ``[C, E]``: the mean of its prompts' unit vectors, brought to unit length."""
        return self.mean_by_class(self.class_tokens(labels), len(labels))

    def class_tokens(self, labels: Sequence[str]) -> Tensor:
        """Tokens of every class's prompts, class after class, int64 ``[P, L]``, on the tower's device."""
        texts = [text for label in labels for text in prompts(label, self.config)]
        return self.tokenize(texts).to(next(self.parameters()).device)

    def mean_by_class(self, tokens: Tensor, classes: int) -> Tensor:
        """Prototypes ``[C, E]`` of what ``class_tokens`` gives."""
        embeddings = F.normalize(self(tokens), dim=-1)
        return F.normalize(embeddings.reshape(classes, -1, embeddings.shape[1]).mean(dim=1), dim=-1)


def text_tower_config(config: TextConfig) -> CLIPTextCfg:
    """The same architecture in open_clip's words."""
    return CLIPTextCfg(
        context_length=config.context_length,
        vocab_size=config.vocab_size,
        width=config.width,
        heads=config.heads,
        layers=config.layers,
        **config.extra,
    )


def prompts(label: str, config: TextConfig | None = None) -> list[str]:
    """A label's prompts; every label has as many."""
    config = config or TextConfig()
    adjective, noun = WORDS.get(label, (label.lower(), label.lower()))
    return [
        *(template.format(adjective) for template in config.adjective_templates),
        *(template.format(noun) for template in config.noun_templates),
    ]


@torch.no_grad()
def frozen_prototypes(encoder: TextEncoder, labels: Sequence[str]) -> Tensor:
    """``encoder.prototypes`` in eval mode, without gradients, float32 ``[C, E]``."""
    was_training = encoder.training
    prototypes = encoder.eval().prototypes(labels).float().clone()
    encoder.train(was_training)
    return prototypes
