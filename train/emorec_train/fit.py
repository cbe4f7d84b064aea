"""Second stage: TCN, fusion and head on frozen features."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import msgspec
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from emorec_train.evaluate import evaluate
from emorec_train.features import ClipWindows, WindowSet, WindowTable, stack_windows
from emorec_train.loop import Optimiser
from emorec_train.metrics import Scores
from emorec_train.modality import drop_modalities
from emorec_train.model.config import Mode, ModelConfig
from emorec_train.model.fusion import FusionModel
from emorec_train.model.imbalance import balanced_weights, class_counts, log_prior
from emorec_train.model.losses import StepLoss, TextGuidedLoss
from emorec_train.presets import FusionSettings
from emorec_train.progress import tracked


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the training's log.

    Attributes:
        epoch: Counted from 1.
        loss: Mean over its batches.
        learning_rate: At its end.
        macro_f1: On validation clips.
    """

    epoch: int
    loss: float
    learning_rate: float
    macro_f1: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best epoch on validation clips, and how training went."""

    fusion: FusionModel
    validation: Scores
    log: tuple[Epoch, ...]


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
    fit = _Fit(config, settings, stack_windows(train), prototypes, seed)
    best: tuple[FusionModel, Scores] | None = None
    log: list[Epoch] = []
    for epoch in tracked(range(1, settings.epochs + 1), f"fusion, {config.fusion.mode}", settings.epochs):
        loss = fit.epoch()
        scores = evaluate(fit.scored, validation, config.labels)
        log.append(Epoch(epoch=epoch, loss=loss, learning_rate=fit.learning_rate, macro_f1=scores.macro_f1))
        if best is None or scores.macro_f1 > best[1].macro_f1:
            best = copy.deepcopy(fit.scored), scores
        if settings.patience and _epochs_since_best(log) >= settings.patience:
            break
    assert best is not None  # noqa: S101 - settings ask for one epoch at least
    return Fitted(*best, tuple(log))


class _Fit:
    """A fusion on its way through the epochs."""

    def __init__(
        self,
        config: ModelConfig,
        settings: FusionSettings,
        windows: WindowTable,
        prototypes: Tensor | None,
        seed: int,
    ) -> None:
        if config.fusion.mode in {"visual", "audio"}:
            # Without its only stream a model could learn nothing.
            settings = msgspec.structs.replace(settings, stream_dropout=0.0)
        self._settings, self._windows = settings, windows
        self._generator = torch.Generator().manual_seed(seed)
        self._fusion = FusionModel(config.fusion, config.preprocessing, len(config.labels))
        has_text = prototypes is not None and config.fusion.mode != "audio"
        self._text = (
            TextGuidedLoss(config.fusion.width, prototypes) if has_text and prototypes is not None else None
        )
        self._step_loss = step_loss(settings, windows.labels, len(config.labels))
        self._averaged = _averaged(self._fusion, settings.average_decay)
        updates = settings.epochs * -(-len(windows) // (settings.batch * settings.accumulate))
        self._optimiser = Optimiser(
            [self._fusion] if self._text is None else [self._fusion, self._text],
            steps=updates,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )

    @property
    def scored(self) -> FusionModel:
        """What is scored and kept: the weights, or their moving average."""
        return self._fusion if self._averaged is None else cast("FusionModel", self._averaged.module)

    @property
    def learning_rate(self) -> float:
        return self._optimiser.learning_rate

    def epoch(self) -> float:
        """Pass over the windows once, in an order of its own; return the mean loss."""
        self._fusion.train()
        order = torch.randperm(len(self._windows), generator=self._generator)
        batches = torch.split(order, self._settings.batch)
        losses: list[float] = []
        for first in range(0, len(batches), self._settings.accumulate):
            together = batches[first : first + self._settings.accumulate]
            losses += [self._add(index, 1.0 / len(together)) for index in together]
            self._optimiser.update()
            if self._averaged is not None:
                self._averaged.update_parameters(self._fusion)
        return sum(losses) / len(losses)

    def _add(self, index: Tensor, share: float) -> float:
        batch = drop_modalities(self._windows.select(index), self._settings, self._generator)
        loss = fusion_loss(self._fusion, self._text, batch, self._step_loss, self._settings.text_weight)
        return self._optimiser.add(loss * share if share < 1.0 else loss) / share


def _averaged(fusion: FusionModel, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(fusion, multi_avg_fn=average)


def _epochs_since_best(log: Sequence[Epoch]) -> int:
    scores = [epoch.macro_f1 for epoch in log]
    return len(scores) - 1 - scores.index(max(scores))


def step_loss(settings: FusionSettings, labels: Tensor, classes: int) -> StepLoss:
    """The loss of each step that the settings ask for.

    Args:
        settings: How to train.
        labels: int64 ``[N, T]``, of the training windows: classes are counted in them.
        classes: How many there are.
    """
    counts = class_counts(labels, classes)
    balanced = settings.class_weights == "balanced"
    return StepLoss(
        settings.label_smoothing,
        balanced_weights(counts, settings.balance_beta) if balanced else None,
        settings.logit_adjustment * log_prior(counts) if settings.logit_adjustment else None,
        settings.focal_gamma,
    )


def fusion_loss(
    fusion: FusionModel,
    text: TextGuidedLoss | None,
    batch: WindowSet,
    step_loss: StepLoss,
    text_weight: float,
) -> Tensor:
    """The loss over the labelled steps, and the text-guided one on the visual representation."""
    logits, features = fusion.forward_features(
        batch.frame_embeddings, batch.frame_mask, batch.audio_tokens, batch.audio_mask
    )
    loss = step_loss(logits, batch.labels)
    if text is not None and features is not None:
        loss = loss + text_weight * text(features, batch.frame_mask, batch.labels)
    return loss


def with_mode(config: ModelConfig, mode: Mode) -> ModelConfig:
    """The same model in another mode."""
    return msgspec.structs.replace(config, fusion=msgspec.structs.replace(config.fusion, mode=mode))
