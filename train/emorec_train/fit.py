"""Second stage: TCN, fusion and head on frozen features."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from emorec_train.evaluate import evaluate
from emorec_train.features import ClipWindows, WindowSet, WindowTable, stack_windows
from emorec_train.labels import IGNORED
from emorec_train.loop import Optimiser
from emorec_train.metrics import Scores
from emorec_train.modality import drop_modalities
from emorec_train.model.config import Mode, ModelConfig
from emorec_train.model.fusion import FusionModel
from emorec_train.model.losses import StepLoss, TextGuidedLoss, seen_labels
from emorec_train.processes import Processes, shares
from emorec_train.progress import tracked
from emorec_train.settings import FusionSettings
from emorec_train.state import EpochRow, Progress, State, part_of, read_state, write_state

AUTOCAST = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best epoch on validation clips, and the log of all of them."""

    fusion: FusionModel
    validation: Scores
    epochs: tuple[EpochRow, ...] = ()


@dataclass(frozen=True, slots=True)
class Around:
    """What surrounds a fit and doesn't change its result.

    Attributes:
        processes: Who takes part.
        state: File to keep the state of each epoch in; ``None`` keeps none.
        resume: Go on from that file, if it is there.
        on_epoch: Is told of each new epoch.
    """

    processes: Processes = field(default_factory=Processes)
    state: Path | None = None
    resume: bool = False
    on_epoch: Callable[[EpochRow], None] | None = None


def fit_fusion(
    config: ModelConfig,
    settings: FusionSettings,
    train: Sequence[ClipWindows],
    validation: Sequence[ClipWindows],
    prototypes: Tensor | None,
    seed: int,
    around: Around | None = None,
) -> Fitted:
    """Train a fusion in ``config.fusion.mode``; the epoch with the best validation macro F1 is kept.

    Args:
        config: The model.
        settings: How to train it.
        train: Clips to learn from.
        validation: Clips to choose the epoch by.
        prototypes: Class texts ``[C, E]`` for the text-guided loss; ``None`` turns it off.
        seed: Of initial weights, order and dropout.
        around: Processes, resuming, logs.

    Raises:
        TrainingDivergedError: The loss is no number any more.
        CheckpointError: The state to go on from is damaged or of another run.
        OutputError: The state can't be written.
    """
    around = around or Around()
    fit = Fit(config, settings, stack_windows(train), prototypes, seed, around.processes)
    state = read_state(around.state, fit.fingerprint) if around.state and around.resume else None
    if state is not None:
        fit.restore(state)
    epochs = range(len(fit.rows), settings.epochs)
    for _ in tracked(epochs, f"fusion, {config.fusion.mode}", len(epochs)):
        if fit.is_stale():
            break
        row = fit.epoch(validation, config.labels)
        if around.state is not None and around.processes.leads:
            write_state(around.state, fit.state())
        if around.on_epoch is not None:
            around.on_epoch(row)
    return fit.fitted()


class Fit:
    """A fusion while it is trained; arguments as of ``fit_fusion``."""

    def __init__(
        self,
        config: ModelConfig,
        settings: FusionSettings,
        windows: WindowTable,
        prototypes: Tensor | None,
        seed: int,
        processes: Processes,
    ) -> None:
        torch.manual_seed(seed)
        self._generator = torch.Generator().manual_seed(seed)
        if config.fusion.mode in {"visual", "audio"}:
            # Without its only stream a model could learn nothing.
            settings = msgspec.structs.replace(settings, stream_dropout=0.0)
        self._mode, self._settings, self._windows = config.fusion.mode, settings, windows
        self._seed, self._processes = seed, processes
        self.fusion = FusionModel(config.fusion, config.preprocessing, len(config.labels))
        self.text: TextGuidedLoss | None = None
        if prototypes is not None and self._mode != "audio":
            self.text = TextGuidedLoss(config.fusion.width, prototypes, settings.text_temperature)
        for module in (self.fusion, self.text):
            if module is not None:
                module.to(processes.device)
        self._classify = step_loss(settings, class_counts(windows.labels, len(config.labels)))
        self._optimiser = _optimiser(self.fusion, self.text, settings, len(windows), processes)
        average = get_ema_multi_avg_fn(settings.ema)
        self._ema = AveragedModel(self.fusion, multi_avg_fn=average) if settings.ema else None
        self.rows: tuple[EpochRow, ...] = ()
        self._best: tuple[FusionModel, Scores] | None = None
        self._stale = 0
        self.fingerprint = _fingerprint(config, settings, windows, prototypes, seed)

    def is_stale(self) -> bool:
        """Whether patience is at an end."""
        return 0 < self._settings.patience <= self._stale

    def epoch(self, validation: Sequence[ClipWindows], labels: Sequence[str]) -> EpochRow:
        """Train over all windows once, and validate."""
        rate, loss = self._optimiser.learning_rate, self._train_epoch()
        learned = self.fusion if self._ema is None else self._ema.module
        # The best epoch is kept as it was; it is validated where the rest of the toolkit computes.
        fusion = copy.deepcopy(learned).cpu()
        scores = evaluate(fusion, validation, labels)
        macro_f1 = self._processes.agree(scores.macro_f1)
        self._stale += 1
        if self._best is None or macro_f1 > self._best[1].macro_f1:
            self._best, self._stale = (fusion, scores), 0
        row = EpochRow(
            mode=self._mode,
            epoch=len(self.rows) + 1,
            loss=loss,
            learning_rate=rate,
            macro_f1=macro_f1,
            accuracy=scores.accuracy,
        )
        self.rows = (*self.rows, row)
        return row

    def fitted(self) -> Fitted:
        """The best epoch so far."""
        assert self._best is not None  # noqa: S101 - settings ask for one epoch at least
        return Fitted(*self._best, self.rows)

    def _train_epoch(self) -> float:
        if self._processes.count > 1:
            # Each process drops out units of its own.
            torch.manual_seed(hash((self._seed, len(self.rows), self._processes.rank)))
        self.fusion.train()
        order = torch.randperm(len(self._windows), generator=self._generator)
        losses = [self.step(index) for index in torch.split(order, self._settings.batch)]
        return self._processes.total(sum(losses) / len(losses))

    def step(self, index: Tensor) -> float:
        """Learn from the windows at ``index``; returns this process's share of the loss."""
        # Every process draws for the whole batch, so that their parts are those of one process's batch.
        batch = drop_modalities(self._windows.select(index), self._settings, self._generator)
        self._optimiser.begin()
        loss = sum(self._optimiser.backward(part) for part in self._part_losses(batch))
        self._processes.add_gradients(self._optimiser.parameters)
        self._optimiser.finish()
        if self._ema is not None:
            self._ema.update_parameters(self.fusion)
        return loss

    def _part_losses(self, batch: WindowSet) -> Iterable[Tensor]:
        parts = shares(len(batch), self._settings.accumulation, self._processes)
        if len(parts) == self._processes.count == 1:
            return [self._loss(batch.to(self._processes.device), None)]
        filled = [part for part in parts if len(part)]
        if not filled:
            # More processes than windows: all need gradients to add, be they 0.
            return [0.0 * self._loss(batch.select(torch.tensor([0])).to(self._processes.device), None)]
        whole = self._weights(batch)
        return (self._loss(batch.select(part).to(self._processes.device), whole) for part in filled)

    def _loss(self, part: WindowSet, whole: tuple[float, float] | None) -> Tensor:
        """A part's loss, as its share of the whole batch's mean where that is cut into parts."""
        classes, text = fusion_losses(
            self.fusion, self.text, part, self._classify, AUTOCAST[self._settings.precision]
        )
        if whole is not None:
            own = self._weights(part)
            classes = classes * (own[0] / max(whole[0], 1e-30))
            text = None if text is None else text * (own[1] / max(whole[1], 1e-30))
        return classes if text is None else classes + self._settings.text_weight * text

    def _weights(self, batch: WindowSet) -> tuple[float, float]:
        """What the means of both losses over this batch count."""
        seen = seen_labels(batch.frame_mask, batch.labels)
        return self._classify.weight(batch.labels), float((seen != IGNORED).sum())

    def state(self) -> State:
        """All that ``restore`` needs."""
        best, scores = self._best or (self.fusion, None)
        assert scores is not None  # noqa: S101 - asked for after an epoch
        scaler = self._optimiser.scaler.state_dict() if self._optimiser.scaler else {}
        progress = Progress(
            fingerprint=self.fingerprint,
            steps=self._optimiser.steps_done,
            rows=self.rows,
            best=scores,
            stale=self._stale,
            scale=float(scaler.get("scale", 0.0)),
            steps_to_growth=int(scaler.get("_growth_tracker", 0)),
        )
        parts = {
            "fusion": self.fusion.state_dict(),
            "text": self.text.state_dict() if self.text else {},
            "best": best.state_dict(),
            "ema": self._ema.state_dict() if self._ema else {},
            "adamw": self._optimiser.tensors(),
            "random": {"torch": torch.get_rng_state(), "order": self._generator.get_state()},
        }
        return State(progress, {k: v for name, part in parts.items() for k, v in part_of(name, part).items()})

    def restore(self, state: State) -> None:
        """Go on from a state of the same settings and data."""
        self.fusion.load_state_dict(state.part("fusion"))
        if self.text is not None:
            self.text.load_state_dict(state.part("text"))
        if self._ema is not None:
            self._ema.load_state_dict(state.part("ema"))
        self._optimiser.restore(state.part("adamw"), state.progress.steps)
        if self._optimiser.scaler is not None:
            progress = {"scale": state.progress.scale, "_growth_tracker": state.progress.steps_to_growth}
            self._optimiser.scaler.load_state_dict({**self._optimiser.scaler.state_dict(), **progress})
        best = copy.deepcopy(self.fusion).cpu()
        best.load_state_dict(state.part("best"))
        self._best, self._stale, self.rows = (
            (best, state.progress.best),
            state.progress.stale,
            state.progress.rows,
        )
        random = state.part("random")
        self._generator.set_state(random["order"])
        torch.set_rng_state(random["torch"])


def _optimiser(
    fusion: FusionModel,
    text: TextGuidedLoss | None,
    settings: FusionSettings,
    windows: int,
    processes: Processes,
) -> Optimiser:
    return Optimiser(
        [fusion] if text is None else [fusion, text],
        steps=settings.epochs * -(-windows // settings.batch),
        learning_rate=settings.learning_rate,
        weight_decay=settings.weight_decay,
        warm_up=settings.warm_up,
        largest_gradient=settings.largest_gradient,
        scaler=torch.amp.GradScaler(processes.device.type) if settings.precision == "float16" else None,
    )


def class_counts(labels: Tensor, classes: int) -> Tensor:
    """Steps of each class, int64 ``[C]``."""
    return torch.bincount(labels[labels != IGNORED], minlength=classes)


def step_loss(settings: FusionSettings, counts: Tensor | None = None) -> StepLoss:
    """The loss that the settings ask for."""
    return StepLoss(
        counts,
        label_smoothing=settings.label_smoothing,
        effective_beta=settings.effective_beta if settings.class_weights == "effective_number" else None,
        focal_gamma=settings.focal_gamma,
        logit_adjustment=settings.logit_adjustment,
    )


def fusion_loss(
    fusion: FusionModel, text: TextGuidedLoss | None, batch: WindowSet, settings: FusionSettings
) -> Tensor:
    """Cross-entropy over the labelled steps, and the text-guided loss on the visual representation."""
    classes, guided = fusion_losses(fusion, text, batch, step_loss(settings))
    return classes if guided is None else classes + settings.text_weight * guided


def fusion_losses(
    fusion: FusionModel,
    text: TextGuidedLoss | None,
    batch: WindowSet,
    classify: StepLoss,
    precision: torch.dtype = torch.float32,
) -> tuple[Tensor, Tensor | None]:
    """Both losses apart: of the classes, and of the text if there is one."""
    autocast = precision != torch.float32
    device = batch.labels.device.type
    with torch.autocast(device, precision if autocast else None, enabled=autocast):
        logits, features = fusion.forward_features(
            batch.frame_embeddings, batch.frame_mask, batch.audio_tokens, batch.audio_mask
        )
    loss = classify(logits.float(), batch.labels)
    if text is None or features is None:
        return loss, None
    return loss, text(features.float(), batch.frame_mask, batch.labels)


def _fingerprint(
    config: ModelConfig, settings: FusionSettings, windows: WindowTable, prototypes: Tensor | None, seed: int
) -> str:
    digest = hashlib.sha256(msgspec.json.encode((config, settings, seed)))
    digest.update(windows.labels.numpy().tobytes())
    if prototypes is not None:
        digest.update(prototypes.numpy().tobytes())
    if len(windows):
        first = windows.select(torch.tensor([0, len(windows) - 1]))
        digest.update(first.frame_embeddings.numpy().tobytes() + first.audio_tokens.numpy().tobytes())
    return digest.hexdigest()


def with_mode(config: ModelConfig, mode: Mode) -> ModelConfig:
    """The same model in another mode."""
    return msgspec.structs.replace(config, fusion=msgspec.structs.replace(config.fusion, mode=mode))
