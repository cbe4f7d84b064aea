"""Second stage: TCN, fusion and head on frozen features."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import torch
from torch import Generator, Tensor

from emorec_train.evaluate import evaluate
from emorec_train.features import ClipWindows, WindowSet, WindowTable, stack_windows
from emorec_train.loop import Optimiser
from emorec_train.metrics import Scores
from emorec_train.modality import drop_modalities
from emorec_train.model.config import Mode, ModelConfig
from emorec_train.model.fusion import FusionModel
from emorec_train.model.losses import TextGuidedLoss, step_cross_entropy
from emorec_train.presets import FusionSettings
from emorec_train.progress import tracked


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best epoch on validation clips."""

    fusion: FusionModel
    validation: Scores


def fit_fusion(
    config: ModelConfig,
    settings: FusionSettings,
    train: Sequence[ClipWindows],
    validation: Sequence[ClipWindows],
    prototypes: Tensor | None,
    seed: int,
) -> Fitted:
    """Train a fusion in ``config.fusion.mode``; the epoch with the best validation macro F1 is kept.

    Args:
        config: The model.
        settings: How to train it.
        train: Clips to learn from.
        validation: Clips to choose the epoch by.
        prototypes: Class texts ``[C, E]`` for the text-guided loss; ``None`` turns it off.
        seed: Of initial weights, order and dropout.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    windows = stack_windows(train)
    if config.fusion.mode in {"visual", "audio"}:
        # Without its only stream a model could learn nothing.
        settings = msgspec.structs.replace(settings, stream_dropout=0.0)
    fusion = FusionModel(config.fusion, config.preprocessing, len(config.labels))
    has_text = prototypes is not None and config.fusion.mode != "audio"
    text = TextGuidedLoss(config.fusion.width, prototypes) if has_text and prototypes is not None else None
    optimiser = _optimiser(fusion, text, settings, len(windows))
    best: Fitted | None = None
    label = f"fusion, {config.fusion.mode}"
    for _ in tracked(range(settings.epochs), label, settings.epochs):
        _train_epoch(fusion, text, windows, settings, optimiser, generator)
        scores = evaluate(fusion, validation, config.labels)
        if best is None or scores.macro_f1 > best.validation.macro_f1:
            best = Fitted(copy.deepcopy(fusion), scores)
    assert best is not None  # noqa: S101 - settings ask for one epoch at least
    return best


def _optimiser(
    fusion: FusionModel, text: TextGuidedLoss | None, settings: FusionSettings, windows: int
) -> Optimiser:
    return Optimiser(
        [fusion] if text is None else [fusion, text],
        steps=settings.epochs * -(-windows // settings.batch),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
    )


def _train_epoch(
    fusion: FusionModel,
    text: TextGuidedLoss | None,
    windows: WindowTable,
    settings: FusionSettings,
    optimiser: Optimiser,
    generator: Generator,
) -> None:
    fusion.train()
    order = torch.randperm(len(windows), generator=generator)
    for index in torch.split(order, settings.batch):
        batch = drop_modalities(windows.select(index), settings, generator)
        optimiser.step(fusion_loss(fusion, text, batch, settings))


def fusion_loss(
    fusion: FusionModel, text: TextGuidedLoss | None, batch: WindowSet, settings: FusionSettings
) -> Tensor:
    """Cross-entropy over the labelled steps, and the text-guided loss on the visual representation."""
    logits, features = fusion.forward_features(
        batch.frame_embeddings, batch.frame_mask, batch.audio_tokens, batch.audio_mask
    )
    loss = step_cross_entropy(logits, batch.labels, label_smoothing=settings.label_smoothing)
    if text is not None and features is not None:
        loss = loss + settings.text_weight * text(features, batch.frame_mask, batch.labels)
    return loss


def with_mode(config: ModelConfig, mode: Mode) -> ModelConfig:
    """The same model in another mode."""
    return msgspec.structs.replace(config, fusion=msgspec.structs.replace(config.fusion, mode=mode))
