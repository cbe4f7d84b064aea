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
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from emorec_train.evaluate import evaluate
from emorec_train.features import ClipWindows, WindowTable, stack_windows
from emorec_train.loop import Optimiser, OptimiserState
from emorec_train.metrics import Scores
from emorec_train.modality import drop_modalities
from emorec_train.model.config import Mode, ModelConfig
from emorec_train.model.fusion import FusionModel
from emorec_train.model.losses import TextGuidedLoss
from emorec_train.objective import Objective, step_loss
from emorec_train.processes import Processes
from emorec_train.progress import tracked
from emorec_train.settings import FusionSettings
from emorec_train.state import Epoch, Progress, State, parts_of, read_state, write_state


@dataclass(frozen=True, slots=True)
class Fitted:
    """The best epoch on validation clips, and how training went."""

    fusion: FusionModel
    validation: Scores
    log: tuple[Epoch, ...]


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
    on_epoch: Callable[[Epoch], None] | None = None


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
    epochs = range(len(fit.log), settings.epochs)
    for _ in tracked(epochs, f"fusion, {config.fusion.mode}", len(epochs)):
        if fit.out_of_patience:
            break
        epoch = fit.epoch(validation, config.labels)
        if around.state is not None and around.processes.leads:
            write_state(around.state, fit.state())
        if around.on_epoch is not None:
            around.on_epoch(epoch)
    return fit.fitted()


class Fit:
    """A fusion on its way through the epochs; arguments as of ``fit_fusion``."""

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
        if config.fusion.mode in {"visual", "audio"}:
            # Without its only stream a model could learn nothing.
            settings = msgspec.structs.replace(settings, stream_dropout=0.0)
        self._mode, self._settings, self._windows = config.fusion.mode, settings, windows
        self._seed, self._processes = seed, processes
        self._generator = torch.Generator().manual_seed(seed)
        self._fusion = FusionModel(config.fusion, config.preprocessing, len(config.labels))
        self._text = None
        if prototypes is not None and config.fusion.mode != "audio":
            self._text = TextGuidedLoss(config.fusion.width, prototypes, settings.text_temperature)
        self._learning = [module for module in (self._fusion, self._text) if module is not None]
        for module in self._learning:
            module.to(processes.device)
        self._objective = Objective(
            self._fusion,
            self._text,
            step_loss(settings, windows.labels, len(config.labels)),
            settings.text_weight,
            settings.precision,
        )
        self._averaged = _averaged(self._fusion, settings.average_decay)
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
        """Whether nothing got better for as many epochs as the settings allow."""
        scores = self._comparable
        return bool(scores) and 0 < self._settings.patience <= len(scores) - 1 - scores.index(max(scores))

    @property
    def _clean_epochs(self) -> int:
        return round(self._settings.clean_start * self._settings.epochs)

    @property
    def _comparable(self) -> list[float]:
        """Validation scores to compare an epoch with: none of a clean start, which misses no stream."""
        return [epoch.macro_f1 for epoch in self.log[self._clean_epochs :]]

    def epoch(self, validation: Sequence[ClipWindows], labels: Sequence[str]) -> Epoch:
        """Pass over the windows once, in an order of its own, and validate."""
        loss = self._pass()
        # Copied, for it may be the best; validated on the CPU, as all of the toolkit is.
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

    def fitted(self) -> Fitted:
        """The best epoch so far."""
        assert self._best is not None  # noqa: S101 - settings ask for one epoch at least
        return Fitted(*self._best, self.log)

    @property
    def _scored(self) -> FusionModel:
        """What is scored and kept: the weights, or their moving average."""
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
            The loss of each batch; of several processes, the part of it that this one adds.
        """
        losses = self.add_gradients(batches)
        self._optimiser.update()
        if self._averaged is not None:
            self._averaged.update_parameters(self._fusion)
        return losses

    def add_gradients(self, batches: Sequence[Tensor]) -> list[float]:
        """The part of an update before the weights change, see ``step``."""
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
        """What ``restore`` goes on from."""
        best, scores = self.fitted().fusion, self.fitted().validation
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
        return State(progress, parts_of(tensors))

    def restore(self, state: State) -> None:
        """Go on from a state of the same settings and data."""
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
        """Those of the fusion and of the text-guided loss."""
        return self._optimiser.parameters

    def _modules(self) -> dict[str, torch.nn.Module]:
        modules = {"fusion": self._fusion, "text": self._text, "averaged": self._averaged}
        return {name: module for name, module in modules.items() if module is not None}


def _averaged(fusion: FusionModel, decay: float) -> AveragedModel | None:
    if not decay:
        return None
    average = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
    return AveragedModel(fusion, multi_avg_fn=average)


def _fingerprint(
    config: ModelConfig, settings: FusionSettings, windows: WindowTable, prototypes: Tensor | None, seed: int
) -> str:
    digest = hashlib.sha256(msgspec.json.encode((config, settings, seed)))
    digest.update(windows.labels.numpy().tobytes())
    if prototypes is not None:
        digest.update(prototypes.numpy().tobytes())
    if len(windows):
        some = windows.select(torch.tensor([0, len(windows) - 1]))
        digest.update(some.frame_embeddings.numpy().tobytes() + some.audio_tokens.numpy().tobytes())
    return digest.hexdigest()


def with_mode(config: ModelConfig, mode: Mode) -> ModelConfig:
    """The same model in another mode."""
    return msgspec.structs.replace(config, fusion=msgspec.structs.replace(config.fusion, mode=mode))
