"""Both streams on one time grid, each asking the other: logits for each step.

Shapes: ``B`` windows, ``T`` grid steps, ``S = T * tokens_per_step`` audio tokens, ``Dv`` and ``Da`` encoder
widths, ``D`` fusion width, ``C`` classes, ``H`` width of what the heads see (``D`` a stream).
"""

from __future__ import annotations

import math
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor, nn

from emorec_rt.bundle.manifest import Preprocessing
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_train.model.attention import CrossBlock, future_bias, mask_to_bias
from emorec_train.model.config import FusionConfig, Mode, ModelConfig
from emorec_train.model.tcn import TCN

LONGEST_PERIOD_STEPS = 1000.0
"""Period of the slowest sinusoid of the positions; the fastest has 2 pi steps."""

_VISUAL_QUERIES_AUDIO: frozenset[Mode] = frozenset({"both", "visual_queries"})
_AUDIO_QUERIES_VISUAL: frozenset[Mode] = frozenset({"both", "audio_queries"})


class StreamProjection(nn.Module):
    """An encoder's output to the fusion width; where it is masked, a learned embedding for "missing"."""

    def __init__(self, input_width: int, width: int) -> None:
        super().__init__()
        self.input_norm = nn.LayerNorm(input_width)
        self.linear = nn.Linear(input_width, width)
        self.norm = nn.LayerNorm(width)
        self.missing = nn.Parameter(torch.randn(width) * 0.02)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map ``[B, L, input]`` with mask ``[B, L]`` to ``[B, L, D]``."""
        there = mask[..., None]
        projected: Tensor = self.norm(self.linear(self.input_norm(x)))
        return projected * there + self.missing * (1.0 - there)


class FusionOutputs(NamedTuple):
    """Outputs of the fusion in training.

    Attributes:
        logits: ``[B, T, C]``.
        features: The visual representation past the TCN, ``[B, T, D]``, for the text guidance; ``None`` when
            the mode has no visual stream.
        tasks: What is told beside the classes, by name of the graph's output: ``valence_arousal``
            ``[B, T, 2]`` in [-1, 1], ``action_units`` ``[B, T, A]`` as logits.
    """

    logits: Tensor
    features: Tensor | None
    tasks: dict[str, Tensor]


class FusionModel(nn.Module):
    """TCN over the visual stream, cross-attention both ways, both results on the frame grid, MLP heads.

    A stream that doesn't ask the other asks itself, in a block of the same size: modes of two streams differ
    in whom each asks and in nothing else, and a single stream has the same means as each of two.

    Args:
        config: Widths, layers, mode.
        spec: Window length and encoder widths.
        classes: How many logits.
        tasks: What it tells beside the classes, each from a head of its own.
    """

    step_positions: Tensor
    token_positions: Tensor

    def __init__(
        self, config: FusionConfig, spec: Preprocessing, classes: int, tasks: Tasks = NO_TASKS
    ) -> None:
        super().__init__()
        self.mode: Mode = config.mode
        self.classes = classes
        if self.mode == "zero_shot":
            return
        self.tokens_per_step = spec.window.tokens_per_step
        D = config.width
        steps = torch.arange(spec.window.steps, dtype=torch.float32)
        tokens = torch.arange(spec.window_tokens, dtype=torch.float32) / self.tokens_per_step
        self.causal = config.causal
        if config.causal:
            places = {"step": steps, "token": tokens.floor()}
            for query, key in product(places, repeat=2):
                bias = future_bias(places[query], places[key])
                self.register_buffer(f"{query}_{key}_bias", bias, persistent=False)
        self.register_buffer("step_positions", sinusoids(steps, D), persistent=False)  # [T, D]
        self.register_buffer("token_positions", sinusoids(tokens, D), persistent=False)  # [S, D]
        if self.mode != "audio":
            self.visual_projection = StreamProjection(spec.vision.embedding_dim, D)
            self.tcn = TCN(
                D, config.tcn_layers, config.tcn_kernel, causal=config.causal, dropout=config.dropout
            )
        if self.mode != "visual":
            self.audio_projection = StreamProjection(spec.audio.embedding_dim, D)
        if self.mode != "audio":
            self.visual_asks = _block(config)
        if self.mode != "visual":
            self.audio_asks = _block(config)
        self.head = _head(config, classes)
        # Last, so that the weights above are drawn as without them.
        self.task_heads = nn.ModuleDict({name: _head(config, width) for name, width in tasks.outputs.items()})

    def forward(
        self, frame_embeddings: Tensor, frame_mask: Tensor, audio_tokens: Tensor, audio_mask: Tensor
    ) -> Tensor | tuple[Tensor, ...]:
        """Fuse windows, as the graph of a bundle does.

        Args:
            frame_embeddings: ``[B, T, Dv]``.
            frame_mask: ``[B, T]``, 1 where a face was seen, else 0; what lies under 0 doesn't matter as long
                as it is finite.
            audio_tokens: ``[B, S, Da]``.
            audio_mask: ``[B, S]``, 1 where there is sound, else 0.

        Returns:
            Logits ``[B, T, C]``; with tasks, a tuple of them and of each task's output.
        """
        given = self.outputs(frame_embeddings, frame_mask, audio_tokens, audio_mask)
        return (given.logits, *given.tasks.values()) if given.tasks else given.logits

    def outputs(
        self, frame_embeddings: Tensor, frame_mask: Tensor, audio_tokens: Tensor, audio_mask: Tensor
    ) -> FusionOutputs:
        """As ``forward``, with names."""
        if self.mode == "zero_shot":
            return FusionOutputs(filled(frame_embeddings, frame_mask), None, {})
        fused, features = self._fused(frame_embeddings, frame_mask, audio_tokens, audio_mask)
        tasks = {name: head(fused) for name, head in self.task_heads.items()}
        if "valence_arousal" in tasks:
            tasks["valence_arousal"] = tasks["valence_arousal"].tanh()
        return FusionOutputs(self.head(fused), features, tasks)

    def _fused(
        self, frame_embeddings: Tensor, frame_mask: Tensor, audio_tokens: Tensor, audio_mask: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """What the heads see, ``[B, T, H]``, and the visual representation past the TCN, ``[B, T, D]``."""
        frame_bias, audio_bias = mask_to_bias(frame_mask), mask_to_bias(audio_mask)
        if self.mode == "audio":
            audio = self.encode_audio(audio_tokens, audio_mask)
            own_bias = self._causal("token", "token", audio_bias)
            return self._on_grid(self.audio_asks(audio, audio, own_bias)), None
        features = self.encode_visual(frame_embeddings, frame_mask)
        visual = features + self.step_positions
        if self.mode == "visual":
            own_bias = self._causal("step", "step", frame_bias)
            return self.visual_asks(visual, visual, own_bias), features
        audio = self.encode_audio(audio_tokens, audio_mask)
        seen, heard = ("step", visual, frame_bias), ("token", audio, audio_bias)
        # Both ask what the other was before: the exchange is symmetric.
        kind, keys, bias = heard if self.mode in _VISUAL_QUERIES_AUDIO else seen
        visual_side = self.visual_asks(visual, keys, self._causal("step", kind, bias))  # [B, T, D]
        kind, keys, bias = seen if self.mode in _AUDIO_QUERIES_VISUAL else heard
        audio_side = self.audio_asks(audio, keys, self._causal("token", kind, bias))  # [B, S, D]
        return torch.cat([visual_side, self._on_grid(audio_side)], dim=-1), features

    def encode_visual(self, frame_embeddings: Tensor, frame_mask: Tensor) -> Tensor:
        """The visual stream past the TCN, ``[B, T, D]``."""
        features: Tensor = self.tcn(self.visual_projection(frame_embeddings, frame_mask))
        return features

    def encode_audio(self, audio_tokens: Tensor, audio_mask: Tensor) -> Tensor:
        """The audio stream with its positions, ``[B, S, D]``."""
        projected: Tensor = self.audio_projection(audio_tokens, audio_mask)
        return projected + self.token_positions

    def _causal(self, queries: str, keys: str, key_bias: Tensor) -> Tensor:
        """The bias of masked keys, with that of later ones in a causal model: ``[B, 1, Q, K]``."""
        if not self.causal:
            return key_bias
        future: Tensor = getattr(self, f"{queries}_{keys}_bias")
        return key_bias + future

    def _on_grid(self, tokens: Tensor) -> Tensor:
        """Average each step's tokens: ``[B, S, D]`` to ``[B, T, D]``."""
        steps = self.step_positions.shape[0]
        return tokens.reshape(-1, steps, self.tokens_per_step, tokens.shape[2]).mean(dim=2)


def new_fusion(config: ModelConfig) -> FusionModel:
    """The fusion of a model, with random weights."""
    return FusionModel(config.fusion, config.preprocessing, len(config.labels), config.tasks)


def filled(logits: Tensor, mask: Tensor) -> Tensor:
    """Logits ``[B, T, C]``, where masked the mean of the window's others; 0 where all are masked."""
    there = mask[..., None]
    mean = (logits * there).sum(dim=1, keepdim=True) / there.sum(dim=1, keepdim=True).clamp(min=1.0)
    return logits * there + mean * (1.0 - there)


def sinusoids(times_steps: Tensor, width: int) -> Tensor:
    """Positions on the clock that both streams share: ``[L]`` in steps to ``[L, width]``."""
    exponents = torch.arange(0, width, 2, dtype=torch.float32) / width
    angles = times_steps[:, None] * torch.exp(-math.log(LONGEST_PERIOD_STEPS) * exponents)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _block(config: FusionConfig) -> CrossBlock:
    return CrossBlock(config.width, config.heads, config.ffn_ratio, config.dropout)


def _head(config: FusionConfig, classes: int) -> nn.Sequential:
    streams = 1 if config.mode in {"visual", "audio"} else 2
    return nn.Sequential(
        nn.Linear(streams * config.width, config.head_width),
        nn.ReLU(),
        nn.Dropout(config.head_dropout),
        nn.Linear(config.head_width, classes),
    )
