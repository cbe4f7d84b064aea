"""The fusion's training loop, on windows of noise whose class is in the features."""

from __future__ import annotations

import dataclasses
import errno
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn.functional import normalize

from emorec_rt.errors import OutputError
from emorec_rt.windows.window import Window
from emorec_train.data.labels import IGNORED
from emorec_train.features.windows import ClipWindows, WindowSet, stack_windows
from emorec_train.model.checkpoint_parts import CheckpointError
from emorec_train.settings.fields import FusionSettings
from emorec_train.training import fit
from emorec_train.training.averaging import moving_average
from emorec_train.training.fit import Fit, FitContext, fit_fusion
from emorec_train.training.objective import flat_weights_note, step_loss
from emorec_train.training.processes import Processes
from emorec_train.training.state import Epoch, write_state
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


def fitted(settings: FusionSettings, **changes: object) -> fit.FitResult:
    chosen = msgspec.structs.replace(settings, **changes)
    return fit_fusion(config(), chosen, clips(2 * CLASSES), clips(CLASSES, 1), None, seed=0)


def weights(result: fit.FitResult) -> torch.Tensor:
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
    assert 0.0 < (lagging - start).norm() < (moved - start).norm()


def test_the_moving_average_warms_up() -> None:
    average = moving_average(torch.nn.Linear(1, 1, bias=False), 0.999)
    assert average is not None
    current = torch.nn.Linear(1, 1, bias=False)
    expected = 0.0
    for update in range(36):
        with torch.no_grad():
            current.weight.fill_(float(update))
        average.update_parameters(current)
        decay = min(0.999, (1 + update) / (10 + update)) if update else 0.0
        expected = decay * expected + (1.0 - decay) * update
    assert float(average.module.weight.detach()) == pytest.approx(expected, rel=1e-5)
    assert expected > 25.0  # without the warm-up it is 0.6


def test_training_ends_when_nothing_gets_better(monkeypatch: pytest.MonkeyPatch) -> None:
    scores = iter([0.2, 0.5, 0.4, 0.5, 0.9])

    def scored(*arguments: object) -> object:
        return msgspec.structs.replace(fit_scores, macro_f1=next(scores))

    fit_scores = fitted(SETTINGS, epochs=1).validation
    monkeypatch.setattr(fit, "evaluate", scored)
    result = fitted(SETTINGS, epochs=5, patience=2)
    assert [line.macro_f1 for line in result.log] == [0.2, 0.5, 0.4, 0.5]
    assert result.validation.macro_f1 == 0.5


def test_a_clean_start_drops_nothing_and_is_never_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    dropped: list[int] = []
    drop = fit.drop_modalities
    scores = iter([0.9, 0.95, 0.3, 0.5])

    def counted(*arguments: Any) -> WindowSet:
        dropped.append(len(arguments[0]))
        return drop(*arguments)

    def scored(*arguments: object) -> object:
        return msgspec.structs.replace(fit_scores, macro_f1=next(scores))

    fit_scores = fitted(SETTINGS, epochs=1).validation
    monkeypatch.setattr(fit, "drop_modalities", counted)
    monkeypatch.setattr(fit, "evaluate", scored)
    result = fitted(SETTINGS, epochs=4, clean_start=0.5, patience=1)
    assert [line.macro_f1 for line in result.log] == [0.9, 0.95, 0.3, 0.5]
    assert result.validation.macro_f1 == 0.5
    assert sum(dropped) == 2 * 2 * CLASSES  # the windows of two epochs


def with_labels(*labels: list[int]) -> list[ClipWindows]:
    """A clip for each list, with that label at each step."""
    return [
        ClipWindows(clip.clip_id, clip.windows, (np.array(own, np.int64),))
        for clip, own in zip(clips(len(labels)), labels, strict=True)
    ]


def test_balanced_weights_that_change_nothing_are_told() -> None:
    balanced = msgspec.structs.replace(SETTINGS, class_weights="balanced")
    windows = stack_windows(with_labels([0] * 4, [1] * 4, [0] * 4))
    assert flat_weights_note(balanced, windows, ("a", "b")) == ""
    assert flat_weights_note(SETTINGS, windows, ("a", "b")) == ""
    assert "differ by 0.0%" in flat_weights_note(balanced, stack_windows(with_labels([0, 1])), ("a", "b"))
    weak = msgspec.structs.replace(balanced, balance_beta=0.01)
    assert "occur in as many clips (a 2, b 1)" in flat_weights_note(weak, windows, ("a", "b"))


def test_the_settings_choose_the_loss() -> None:
    windows = stack_windows(with_labels([0, 0, 1, IGNORED], [0, 0, 0, 0]))
    plain = step_loss(SETTINGS, windows, 2)
    assert (plain.class_weights, plain.offsets, plain.gamma) == (None, None, 0.0)
    chosen = step_loss(
        msgspec.structs.replace(SETTINGS, class_weights="balanced", logit_adjustment=2.0, focal_gamma=1.5),
        windows,
        2,
    )
    assert chosen.gamma == 1.5
    assert chosen.class_weights is not None
    # Two clips have class 0 and one has class 1: beta is 2/3, the effective numbers are 5/3 and 1.
    torch.testing.assert_close(chosen.class_weights, torch.tensor([0.75, 1.25]))
    assert chosen.offsets is not None
    torch.testing.assert_close(chosen.offsets, 2.0 * torch.tensor([6 / 7, 1 / 7]).log())


@pytest.mark.parametrize(
    "settings", [{"class_weights": "balanced"}, {"logit_adjustment": 1.0}, {"focal_gamma": 2.0}]
)
def test_every_loss_learns(settings: dict[str, object]) -> None:
    result = fitted(SETTINGS, epochs=20, learning_rate=3e-3, **settings)
    assert result.log[-1].loss < result.log[0].loss
    assert result.validation.macro_f1 > 0.5


PROTOTYPES = normalize(torch.randn(CLASSES, FRAME_WIDTH, generator=torch.Generator()), dim=-1)
LEARNT, HELD_OUT = clips(2 * CLASSES), clips(CLASSES, 1)
FULL = msgspec.structs.replace(
    SETTINGS,
    epochs=4,
    accumulate=2,
    average_decay=0.9,
    class_weights="balanced",
    time_jitter=1,
    clean_start=0.4,
)


class KilledError(Exception):
    pass


def guided(settings: FusionSettings = FULL, around: FitContext | None = None, seed: int = 0) -> fit.FitResult:
    return fit_fusion(config(), settings, LEARNT, HELD_OUT, PROTOTYPES, seed, around)


def assert_same(one: fit.FitResult, other: fit.FitResult) -> None:
    assert one.log == other.log
    assert one.validation == other.validation
    theirs = other.fusion.state_dict()
    for key, value in one.fusion.state_dict().items():
        assert torch.equal(value, theirs[key]), key


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_killed_and_resumed_equals_uninterrupted(precision: str, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(FULL, precision=precision)
    state = tmp_path / "both.safetensors"

    def kill(epoch: Epoch) -> None:
        if epoch.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        guided(settings, FitContext(state=state, on_epoch=kill))
    torch.manual_seed(99)
    seen: list[Epoch] = []
    resumed = guided(settings, FitContext(state=state, resume=True, on_epoch=seen.append))
    assert [epoch.epoch for epoch in seen] == [3, 4]
    assert_same(resumed, guided(settings))
    assert_same(guided(settings, FitContext(state=state, resume=True)), resumed)


def test_a_state_of_other_settings_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "both.safetensors"
    once = msgspec.structs.replace(FULL, epochs=1)
    guided(once, FitContext(state=state))
    with pytest.raises(CheckpointError, match="other settings"):
        guided(once, FitContext(state=state, resume=True), seed=1)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="without --resume"):
        guided(once, FitContext(state=state, resume=True))


def test_a_full_disk_leaves_the_last_state(tmp_path: Path) -> None:
    file = tmp_path / "both.safetensors"
    trained = Fit(config(), FULL, stack_windows(LEARNT), PROTOTYPES, 0, Processes())
    trained.epoch(HELD_OUT, config().labels)
    write_state(file, trained.state())
    before = file.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(OutputError, match=os.strerror(errno.EFBIG)):
            write_state(file, trained.state())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["both.safetensors"]


def gradients(processes: Processes) -> list[torch.Tensor]:
    """Of two batches, the second of which has fewer windows than there are processes."""
    settings = msgspec.structs.replace(FULL, feature_noise=0.0, focal_gamma=1.0)
    still = msgspec.structs.replace(config().fusion, dropout=0.0, head_dropout=0.0)
    model = msgspec.structs.replace(config(), fusion=still)
    trained = Fit(model, settings, stack_windows(LEARNT), PROTOTYPES, 0, processes)
    trained.add_gradients([torch.arange(5), torch.tensor([7])])
    return [p.grad for p in trained.learning_parameters() if p.grad is not None]


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    code = (
        "import sys\n"
        "from safetensors.torch import save_file\n"
        "from test_fit import gradients\n"
        "from emorec_train.training.processes import join_processes\n"
        "with join_processes('cpu') as processes:\n"
        "    found = gradients(processes)\n"
        "    save_file({str(k): g for k, g in enumerate(found)}, f'{sys.argv[1]}/{processes.rank}')\n"
        "    with processes.in_turn():\n"
        "        print('turn', processes.rank, flush=True)\n"
    )
    path = os.pathsep.join(
        str(root / folder) for folder in ("runtime", "train", "tests", "tests/train/training")
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = tmp_path / "part.py"
    script.write_text(code)
    done = subprocess.run(
        [*command, str(script), str(tmp_path)],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("turn")] == ["turn 0", "turn 1"]
    one = gradients(Processes())
    for rank in range(2):
        found = load_file(tmp_path / str(rank))
        assert len(found) == len(one)
        for number, theirs in enumerate(one):
            torch.testing.assert_close(found[str(number)], theirs, atol=1e-6, rtol=1e-4)


def test_what_lies_under_a_mask_may_be_no_number() -> None:
    (clip,) = clips(1)
    (window,) = clip.windows
    frames, mask = window.frame_embeddings.copy(), window.frame_mask.copy()
    frames[1], mask[1] = np.nan, 0.0
    broken = dataclasses.replace(window, frame_embeddings=frames, frame_mask=mask)
    learnt = [ClipWindows("broken", [broken], clip.labels)]
    batch = stack_windows([*learnt, clip]).select(torch.arange(2))
    assert batch.frame_embeddings.isfinite().all()
    assert not batch.frame_embeddings[0, 1].any()
    result = fit_fusion(
        config(), SETTINGS, [ClipWindows("broken", [broken], clip.labels)], [clip], None, seed=0
    )
    assert all(np.isfinite(line.loss) for line in result.log)
