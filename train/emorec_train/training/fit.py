"""Second stage: TCN, fusion and head on frozen features."""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import msgspec
import torch
from torch import Tensor

from emorec_train.console import tracked
from emorec_train.evaluation.metrics import Scores
from emorec_train.evaluation.stitched import evaluate
from emorec_train.features.windows import ClipWindows, WindowTable, stack_windows
from emorec_train.model.config import Mode, ModelConfig
from emorec_train.model.fusion import FusionModel, new_fusion
from emorec_train.model.losses import TextGuidedLoss
from emorec_train.settings.fields import FusionSettings
from emorec_train.training.averaging import moving_average
from emorec_train.training.loop import Optimiser, OptimiserState
from emorec_train.training.modality import drop_modalities
from emorec_train.training.objective import Objective, step_loss, task_losses
from emorec_train.training.processes import Processes
from emorec_train.training.state import Epoch, Progress, State, flatten_parts, read_state, write_state


@dataclass(frozen=True, slots=True)
class FitResult:
    """The best epoch on validation clips, and the log of all epochs."""

    fusion: FusionModel
    validation: Scores
    log: tuple[Epoch, ...]


@dataclass(frozen=True, slots=True)
class FitContext:
    """Processes, checkpointing and callbacks of a fit; none of them changes its result.

    Attributes:
        processes: Processes that share the batches.
        state: File to keep the state of each epoch in; ``None`` keeps none.
        resume: Continue from that file if it exists.
        on_epoch: Called with each new epoch.
    """

    processes: Processes = field(default_factory=Processes)
    state: Path | None = None
    resume: bool = False
    on_epoch: Callable[[Epoch], None] | None = None


def fit_fusion(
    config: ModelConfig,
    settings: FusionSettings,
    train: Sequence[ClipWindows],
    validation: Sequence[ClipWindows],
    prototypes: Tensor | None,
    seed: int,
    context: FitContext | None = None,
    start: FusionModel | None = None,
) -> FitResult:
    """Train a fusion in ``config.fusion.mode``; the epoch with the best validation macro F1 is kept.

    Args:
        config: The model.
        settings: How to train it.
        train: Clips to learn from.
        validation: Clips to choose the epoch by.
        prototypes: Class texts ``[C, E]`` for the text-guided loss; ``None`` turns it off.
        seed: Of initial weights, order and dropout.
        context: Processes, checkpointing and callbacks.
        start: A fusion of the same configuration whose weights it begins with.

    Raises:
        TrainingDivergedError: The loss is not finite.
        CheckpointError: The state to continue from is damaged or of another run.
        OutputError: The state can't be written.
    """
    context = context or FitContext()
    fit = Fit(config, settings, stack_windows(train), prototypes, seed, context.processes, start)
    state = read_state(context.state, fit.fingerprint) if context.state and context.resume else None
    if state is not None:
        fit.restore(state)
    epochs = range(len(fit.log), settings.epochs)
    for _ in tracked(epochs, f"fusion, {config.fusion.mode}", len(epochs)):
        if fit.out_of_patience:
            break
        epoch = fit.epoch(validation, config.labels)
        if context.state is not None and context.processes.leads:
            write_state(context.state, fit.state())
        if context.on_epoch is not None:
            context.on_epoch(epoch)
    return fit.result()


class Fit:
    """Training of a fusion, epoch by epoch; arguments as of ``fit_fusion``."""

    def __init__(
        self,
        config: ModelConfig,
        settings: FusionSettings,
        windows: WindowTable,
        prototypes: Tensor | None,
        seed: int,
        processes: Processes,
        start: FusionModel | None = None,
    ) -> None:
        torch.manual_seed(seed)
        if config.fusion.mode in {"visual", "audio"}:
            # Without its only stream a model could learn nothing.
            settings = msgspec.structs.replace(settings, stream_dropout=0.0)
        self._mode, self._settings, self._windows = config.fusion.mode, settings, windows
        self._seed, self._processes = seed, processes
        self._generator = torch.Generator().manual_seed(seed)
        self._fusion = new_fusion(config)
        if start is not None:
            self._fusion.load_state_dict(start.state_dict())
        self._text = None
        if prototypes is not None and config.fusion.mode != "audio":
            self._text = TextGuidedLoss(config.fusion.width, prototypes, settings.text_temperature)
        self._learning = [module for module in (self._fusion, self._text) if module is not None]
        for module in self._learning:
            module.to(processes.device)
        self._objective = Objective(
            self._fusion,
            self._text,
            step_loss(settings, windows, len(config.labels)),
            settings.text_weight,
            settings.precision,
            task_losses(config.tasks, settings),
        )
        self._averaged = moving_average(self._fusion, settings.average_decay)
        self._optimiser = self._new_optimiser()
        self._best: tuple[FusionModel, Scores] | None = None
        self.log: tuple[Epoch, ...] = ()
        self.fingerprint = _fingerprint(config, settings, windows, prototypes, seed)

    def _new_optimiser(self) -> Optimiser:
        settings, device = self._settings, self._processes.device
        updates = -(-len(self._windows) // (settings.batch * settings.accumulate))
        return Optimiser(
            self._learning,
            steps=settings.epochs * updates,
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
            warm_up=settings.warm_up,
            largest_gradient=settings.largest_gradient,
            scaler=torch.amp.GradScaler(device.type) if settings.precision == "float16" else None,
        )

    @property
    def out_of_patience(self) -> bool:
        """True when no epoch of the last ``patience`` was the best."""
        scores = self._comparable
        return bool(scores) and 0 < self._settings.patience <= len(scores) - 1 - scores.index(max(scores))

    @property
    def _clean_epochs(self) -> int:
        return round(self._settings.clean_start * self._settings.epochs)

    @property
    def _comparable(self) -> list[float]:
        """Validation scores of the epochs after the clean start, whose scores are not comparable."""
        return [epoch.macro_f1 for epoch in self.log[self._clean_epochs :]]

    def epoch(self, validation: Sequence[ClipWindows], labels: Sequence[str]) -> Epoch:
        """Pass over the windows once, in an order of its own, and validate."""
        loss = self._pass()
        # A copy, because it may be the best; on the CPU, where scores are reproducible.
        fusion = copy.deepcopy(self._scored).cpu()
        scores = evaluate(fusion, validation, labels)
        macro_f1 = self._processes.agree(scores.macro_f1)
        if macro_f1 > max(self._comparable, default=-1.0):
            self._best = fusion, scores
        epoch = Epoch(
            mode=self._mode,
            epoch=len(self.log) + 1,
            loss=loss,
            learning_rate=self._optimiser.learning_rate,
            macro_f1=macro_f1,
        )
        self.log = (*self.log, epoch)
        return epoch

    def result(self) -> FitResult:
        """The best epoch so far."""
        assert self._best is not None  # noqa: S101 - settings ask for one epoch at least
        return FitResult(*self._best, self.log)

    @property
    def _scored(self) -> FusionModel:
        """The model that is scored and kept: the weights, or their moving average."""
        return self._fusion if self._averaged is None else cast("FusionModel", self._averaged.module)

    def _pass(self) -> float:
        if self._processes.count > 1:
            # Each process drops out units of its own.
            torch.manual_seed(hash((self._seed, len(self.log), self._processes.rank)))
        order = torch.randperm(len(self._windows), generator=self._generator)
        batches, together = torch.split(order, self._settings.batch), self._settings.accumulate
        losses: list[float] = []
        for first in range(0, len(batches), together):
            losses += self.step(batches[first : first + together])
        return self._processes.total(sum(losses) / len(losses))

    def step(self, batches: Sequence[Tensor]) -> list[float]:
        """One update, from batches of windows given by their numbers, int64 ``[B]`` each.

        Returns:
            The loss of each batch; with several processes, this one's share of it.
        """
        losses = self.add_gradients(batches)
        self._optimiser.update()
        if self._averaged is not None:
            self._averaged.update_parameters(self._fusion)
        return losses

    def add_gradients(self, batches: Sequence[Tensor]) -> list[float]:
        """Add up the gradients of an update, see ``step``; the weights stay as they are."""
        self._fusion.train()
        losses = [self._add(index, 1.0 / len(batches)) for index in batches]
        self._processes.add_gradients(self._optimiser.parameters)
        return losses

    def _add(self, index: Tensor, share: float) -> float:
        # Every process draws for the whole batch: their parts are then those of one process's batch.
        batch = self._windows.select(index)
        if len(self.log) >= self._clean_epochs:
            batch = drop_modalities(batch, self._settings, self._generator)
        batch = batch.to(self._processes.device)
        if self._processes.count == 1:
            loss = self._objective.loss(batch)
        else:
            loss = self._objective.share(*self._processes.part_of(batch))
        return self._optimiser.add(loss * share if share < 1.0 else loss) / share

    def state(self) -> State:
        """State for ``restore``."""
        best, scores = self.result().fusion, self.result().validation
        optimiser = self._optimiser.state()
        progress = Progress(
            fingerprint=self.fingerprint, optimiser=optimiser.progress, log=self.log, best=scores
        )
        tensors = {
            **{name: module.state_dict() for name, module in self._modules().items()},
            "best": best.state_dict(),
            "optimiser": optimiser.tensors,
            "random": {"torch": torch.get_rng_state(), "order": self._generator.get_state()},
        }
        return State(progress, flatten_parts(tensors))

    def restore(self, state: State) -> None:
        """Continue from a state of the same settings and data."""
        for name, module in self._modules().items():
            module.load_state_dict(state.part(name))
        self._optimiser.restore(OptimiserState(state.part("optimiser"), state.progress.optimiser))
        best = copy.deepcopy(self._fusion).cpu()
        best.load_state_dict(state.part("best"))
        self._best, self.log = (best, state.progress.best), state.progress.log
        random = state.part("random")
        self._generator.set_state(random["order"])
        torch.set_rng_state(random["torch"])

    def learning_parameters(self) -> list[torch.nn.Parameter]:
        """Parameters of the fusion and of the text-guided loss."""
        return self._optimiser.parameters

    def _modules(self) -> dict[str, torch.nn.Module]:
        modules = {"fusion": self._fusion, "text": self._text, "averaged": self._averaged}
        return {name: module for name, module in modules.items() if module is not None}


def _fingerprint(
    config: ModelConfig, settings: FusionSettings, windows: WindowTable, prototypes: Tensor | None, seed: int
) -> str:
    digest = hashlib.sha256(msgspec.json.encode((config, settings, seed)))
    digest.update(windows.labels.numpy().tobytes())
    if config.tasks and windows.measures is not None:
        digest.update(windows.measures.numpy().tobytes())
    if prototypes is not None:
        digest.update(prototypes.numpy().tobytes())
    if len(windows):
        some = windows.select(torch.tensor([0, len(windows) - 1]))
        digest.update(some.frame_embeddings.numpy().tobytes() + some.audio_tokens.numpy().tobytes())
    return digest.hexdigest()


def with_mode(config: ModelConfig, mode: Mode) -> ModelConfig:
    """The same model in another mode."""
    return msgspec.structs.replace(config, fusion=msgspec.structs.replace(config.fusion, mode=mode))
