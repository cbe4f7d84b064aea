"""The fusion's training loop, on windows of noise whose class is in the features."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
import torch

from emorec_rt.window import Window
from emorec_train import fit
from emorec_train.features import ClipWindows
from emorec_train.fit import fit_fusion, step_loss
from emorec_train.labels import IGNORED
from emorec_train.presets import FusionSettings
from small_model import FRAME_WIDTH, PER_STEP, STEPS, TOKEN_WIDTH, config

CLASSES = len(config().labels)
SETTINGS = FusionSettings(epochs=3, batch=4, learning_rate=1e-3, stream_dropout=0.0, stretch_dropout=0.0)


def clips(count: int, seed: int = 0) -> list[ClipWindows]:
    """A window a clip, of one class."""
    rng, ways = np.random.default_rng(seed), np.random.default_rng(99)
    faces, voices = ways.normal(size=(CLASSES, FRAME_WIDTH)), ways.normal(size=(CLASSES, TOKEN_WIDTH))
    made = []
    for number in range(count):
        own = number % CLASSES
        window = Window(
            0,
            STEPS,
            STEPS,
            np.arange(STEPS) / 25.0,
            (faces[own] + rng.normal(size=(STEPS, FRAME_WIDTH))).astype(np.float32),
            np.ones(STEPS, np.float32),
            (voices[own] + rng.normal(size=(STEPS * PER_STEP, TOKEN_WIDTH))).astype(np.float32),
            np.ones(STEPS * PER_STEP, np.float32),
        )
        made.append(ClipWindows(f"clip{number}", [window], (np.full(STEPS, own, np.int64),)))
    return made


def fitted(settings: FusionSettings, **changes: object) -> fit.Fitted:
    chosen = msgspec.structs.replace(settings, **changes)
    return fit_fusion(config(), chosen, clips(2 * CLASSES), clips(CLASSES, 1), None, seed=0)


def weights(result: fit.Fitted) -> torch.Tensor:
    return torch.cat([parameter.detach().flatten() for parameter in result.fusion.parameters()])


def test_the_log_has_a_line_for_each_epoch() -> None:
    result = fitted(SETTINGS)
    assert [line.epoch for line in result.log] == [1, 2, 3]
    assert result.log[-1].loss < result.log[0].loss
    assert result.log[-1].learning_rate == 0.0
    assert result.validation.macro_f1 == max(line.macro_f1 for line in result.log)


def test_gradients_of_small_batches_add_up_to_those_of_a_large_one() -> None:
    plain = msgspec.structs.replace(SETTINGS, epochs=1, feature_noise=0.0)
    model = config()
    still = msgspec.structs.replace(model.fusion, dropout=0.0, head_dropout=0.0)
    model = msgspec.structs.replace(model, fusion=still)

    def trained(batch: int, accumulate: int) -> torch.Tensor:
        settings = msgspec.structs.replace(plain, batch=batch, accumulate=accumulate)
        return weights(fit_fusion(model, settings, clips(2 * CLASSES), clips(CLASSES, 1), None, seed=0))

    torch.testing.assert_close(trained(2, 4), trained(8, 1), rtol=1e-3, atol=1e-5)


def test_the_moving_average_lags_behind() -> None:
    start, moved = (
        weights(fitted(SETTINGS, epochs=1, learning_rate=1e-9)),
        weights(fitted(SETTINGS, epochs=1)),
    )
    lagging = weights(fitted(SETTINGS, epochs=1, average_decay=0.9))
    assert (lagging - start).norm() < 0.9 * (moved - start).norm()
    assert (lagging - start).norm() > 0.0


def test_training_ends_when_nothing_gets_better(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.5, 0.4, 0.5, 0.9])

    def scored(*arguments: object) -> object:
        return msgspec.structs.replace(fit_scores, macro_f1=next(scores))

    fit_scores = fitted(SETTINGS, epochs=1).validation
    monkeypatch.setattr(fit, "evaluate", scored)
    result = fitted(SETTINGS, epochs=5, patience=2)
    assert [line.macro_f1 for line in result.log] == [0.2, 0.5, 0.4, 0.5]
    assert result.validation.macro_f1 == 0.5


def test_the_settings_choose_the_loss() -> None:
    labels = torch.tensor([[0, 0, 1, IGNORED]])
    assert step_loss(SETTINGS, labels, 2) == step_loss(SETTINGS, labels, 2)
    plain = step_loss(SETTINGS, labels, 2)
    assert (plain.class_weights, plain.offsets, plain.gamma) == (None, None, 0.0)
    chosen = step_loss(
        msgspec.structs.replace(SETTINGS, class_weights="balanced", logit_adjustment=2.0, focal_gamma=1.5),
        labels,
        2,
    )
    assert chosen.gamma == 1.5
    assert chosen.class_weights is not None
    assert chosen.class_weights[1] > chosen.class_weights[0]
    assert chosen.offsets is not None
    torch.testing.assert_close(chosen.offsets, 2.0 * torch.tensor([2 / 3, 1 / 3]).log())


@pytest.mark.parametrize(
    "settings", [{"class_weights": "balanced"}, {"logit_adjustment": 1.0}, {"focal_gamma": 2.0}]
)
def test_every_loss_learns(settings: dict[str, object]) -> None:
    result = fitted(SETTINGS, epochs=20, learning_rate=3e-3, **settings)
    assert result.log[-1].loss < result.log[0].loss
    assert result.validation.macro_f1 > 0.5
