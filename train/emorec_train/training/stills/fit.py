"""A visual encoder on its way through the epochs over labelled still pictures.

Shapes: ``B`` pictures of a batch, ``C`` classes.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emorec_train.data.pictures.types import PictureSet
from emorec_train.evaluation.metrics import Scores
from emorec_train.evaluation.stills import score_stills
from emorec_train.model.stills import StillModel
from emorec_train.settings.stills import StillSettings
from emorec_train.training.average import MovingAverage
from emorec_train.training.loop import Optimiser, OptimiserState, TrainingDivergedError
from emorec_train.training.state import Epoch, Progress, State, flatten_parts
from emorec_train.training.stills.augment import Augmenter
from emorec_train.training.stills.sampling import still_batches

MODE = "stills"
"""Of this stage in a log."""


@dataclass(frozen=True, slots=True)
class FittedStills:
    """The best epoch on validation pictures, and how training went."""

    model: StillModel
    validation: Scores
    log: tuple[Epoch, ...]


class StillFit:
    """Train a model; the epoch with the best validation macro F1 is kept.

    Args:
        model: What learns; what is frozen in it stays as it is.
        labels: Class names.
        sets: Data sets; the first one that has validation pictures decides between epochs.
        settings: How to train.
        seed: Of order, augmentation and dropout.
        device: Where.
    """

    def __init__(
        self,
        model: StillModel,
        labels: Sequence[str],
        sets: Sequence[PictureSet],
        settings: StillSettings,
        seed: int,
        device: torch.device,
    ) -> None:
        self._labels, self._settings, self._seed, self._device = tuple(labels), settings, seed, device
        self._model = model.to(device)
        self._model.to(memory_format=torch.channels_last)
        self._batches = still_batches(
            sets, balance=settings.balance, grey=settings.grey, seed=seed, device=device
        )
        self._validation = next(one.validation for one in sets if len(one.validation))
        self._average = MovingAverage(self._model, settings.average_decay)
        self._optimiser = Optimiser(
            [self._model],
            steps=settings.epochs * -(-self._batches.epoch_pictures // settings.batch),
            learning_rate=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self._best: tuple[StillModel, Scores] | None = None
        self.log: tuple[Epoch, ...] = ()
        self.fingerprint = _fingerprint(labels, sets, settings, seed)

    @property
    def finished(self) -> bool:
        """Say whether all epochs are done, or patience has run out."""
        scores = [epoch.macro_f1 for epoch in self.log]
        if len(scores) >= self._settings.epochs:
            return True
        return bool(scores) and 0 < self._settings.patience <= len(scores) - 1 - scores.index(max(scores))

    def epoch(self) -> Epoch:
        """Pass over as many pictures as the first set has, and score the moving average.

        Raises:
            TrainingDivergedError: The loss is no number any more.
        """
        loss = self._pass()
        averaged = self._average.module
        scores = score_stills(averaged, self._validation, self._labels, grey=self._settings.grey)
        if scores.macro_f1 > max((epoch.macro_f1 for epoch in self.log), default=-1.0):
            self._best = copy.deepcopy(averaged), scores
        rate = self._optimiser.learning_rate
        epoch = Epoch(
            mode=MODE, epoch=len(self.log) + 1, loss=loss, learning_rate=rate, macro_f1=scores.macro_f1
        )
        self.log = (*self.log, epoch)
        return epoch

    def fitted(self) -> FittedStills:
        """The best epoch so far, on the CPU and in eval mode."""
        assert self._best is not None  # noqa: S101 - settings ask for one epoch at least
        model, scores = self._best
        return FittedStills(model.cpu().eval(), scores, self.log)

    def _pass(self) -> float:
        # Seeded for each epoch, so that a run that goes on draws what one without a stop would.
        numbers = np.random.default_rng([self._seed, len(self.log)])
        torch.manual_seed(int(numbers.integers(2**31)))
        generator = torch.Generator(self._device).manual_seed(int(numbers.integers(2**31)))
        augment = Augmenter(self._settings.augmentation, generator)
        self._model.train()
        total, order = torch.zeros((), device=self._device), self._batches.order(generator)
        batches = torch.split(order, self._settings.batch)
        for index in batches:
            total += self._step(index, augment, numbers)
        loss = float(total) / len(batches)
        if not math.isfinite(loss):
            raise TrainingDivergedError("training diverged: the loss is not finite; lower the learning rate")
        return loss

    def _step(self, index: Tensor, augment: Augmenter, numbers: np.random.Generator) -> Tensor:
        """One update; returns the loss, still on the device."""
        settings = self._settings
        share = settings.augmentation.compressed_share
        crops = augment(self._batches.crops(index, share, augment.generator))
        targets = _smooth(self._batches.targets[index], settings.label_smoothing)
        if settings.mixup:
            shares = numbers.beta(settings.mixup, settings.mixup, len(index)).astype(np.float32)
            crops, targets = _mixed(crops, targets, torch.from_numpy(shares).to(self._device))
        loss = self._loss(crops, targets)
        self._optimiser.backward(loss)
        self._optimiser.update()
        self._average.update(self._model)
        return loss.detach()

    def _loss(self, crops: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of crops ``[B, K, S, S]`` from 0 to 1 with targets ``[B, C]``."""
        frames = (255.0 * crops).expand(-1, 3, -1, -1).permute(0, 2, 3, 1)
        rounded = self._settings.precision == "bfloat16" and self._device.type != "cpu"
        with torch.autocast(self._device.type, torch.bfloat16, enabled=rounded):
            logits, text_logits = self._model(frames)
        loss = F.cross_entropy(logits, targets)
        if text_logits is None:
            return loss
        return loss + self._settings.text_weight * F.cross_entropy(text_logits, targets)

    def state(self) -> State:
        """State that ``restore`` goes on from."""
        best = self.fitted()
        optimiser = self._optimiser.state()
        progress = Progress(
            fingerprint=self.fingerprint,
            optimiser=optimiser.progress,
            log=self.log,
            best=best.validation,
        )
        tensors = {
            "model": self._model.state_dict(),
            "average": self._average.module.state_dict(),
            "best": best.model.state_dict(),
            "optimiser": optimiser.tensors,
        }
        return State(progress, flatten_parts(tensors))

    def restore(self, state: State) -> None:
        """Go on from a state of the same settings and data."""
        self._model.load_state_dict(state.part("model"))
        self._average.module.load_state_dict(state.part("average"))
        self._average.updates = state.progress.optimiser.updates
        self._optimiser.restore(OptimiserState(state.part("optimiser"), state.progress.optimiser))
        best = copy.deepcopy(self._model).cpu()
        best.load_state_dict(state.part("best"))
        self._best, self.log = (best, state.progress.best), state.progress.log


def _smooth(targets: Tensor, share: float) -> Tensor:
    return targets * (1.0 - share) + share / targets.shape[1]


def _mixed(crops: Tensor, targets: Tensor, shares: Tensor) -> tuple[Tensor, Tensor]:
    """Mix a batch with itself in the opposite order, by shares ``[B]``."""
    wide = shares.view(-1, 1, 1, 1)
    mixed = wide * crops + (1.0 - wide) * crops.flip(0)
    return mixed, shares[:, None] * targets + (1.0 - shares[:, None]) * targets.flip(0)


def _fingerprint(
    labels: Sequence[str], sets: Sequence[PictureSet], settings: StillSettings, seed: int
) -> str:
    digest = hashlib.sha256(msgspec.json.encode((tuple(labels), settings, seed)))
    for one in sets:
        digest.update(f"{one.name} {len(one.train)} {len(one.validation)} {one.weight}".encode())
        digest.update(one.train.targets.tobytes() + one.train.pixels[:64].tobytes())
    return digest.hexdigest()
