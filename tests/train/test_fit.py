from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from emorec_rt.errors import OutputError
from emorec_rt.window import Window
from emorec_train.features import ClipWindows, stack_windows
from emorec_train.fit import Around, Fit, Fitted, fit_fusion
from emorec_train.model.checkpoint import CheckpointError
from emorec_train.processes import Processes, shares
from emorec_train.settings import FusionSettings
from emorec_train.state import EpochRow, write_state
from small_model import FRAME_WIDTH, PER_STEP, STEPS, TOKEN_WIDTH, config

SETTINGS = FusionSettings(epochs=4, batch=4, learning_rate=1e-2, ema=0.9, class_weights="effective_number")
PROTOTYPES = torch.nn.functional.normalize(torch.randn(8, FRAME_WIDTH, generator=torch.Generator()), dim=-1)
MODEL = config()


class KilledError(Exception):
    pass


def clips(count: int, seed: int) -> list[ClipWindows]:
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        labels = rng.integers(-1, 8, STEPS)
        window = Window(
            first_step=0,
            steps=STEPS,
            settles=STEPS,
            times_seconds=np.arange(STEPS) / 25.0,
            frame_embeddings=rng.standard_normal((STEPS, FRAME_WIDTH)).astype(np.float32),
            frame_mask=np.ones(STEPS, np.float32),
            audio_tokens=rng.standard_normal((STEPS * PER_STEP, TOKEN_WIDTH)).astype(np.float32),
            audio_mask=np.ones(STEPS * PER_STEP, np.float32),
        )
        made.append(ClipWindows(f"{seed}-{number}", [window], (labels,)))
    return made


TRAIN, VALIDATION = clips(10, 0), clips(4, 1)


def fit(settings: FusionSettings = SETTINGS, around: Around | None = None, seed: int = 0) -> Fitted:
    return fit_fusion(MODEL, settings, TRAIN, VALIDATION, PROTOTYPES, seed, around)


def assert_same(one: Fitted, other: Fitted) -> None:
    assert one.epochs == other.epochs
    assert one.validation == other.validation
    theirs = other.fusion.state_dict()
    for key, value in one.fusion.state_dict().items():
        assert torch.equal(value, theirs[key]), key


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_killed_and_resumed_equals_uninterrupted(precision: str, tmp_path: Path) -> None:
    settings = msgspec.structs.replace(SETTINGS, precision=precision)
    state = tmp_path / "both.safetensors"

    def kill(row: EpochRow) -> None:
        if row.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        fit(settings, Around(state=state, on_epoch=kill))
    torch.manual_seed(99)
    seen: list[EpochRow] = []
    resumed = fit(settings, Around(state=state, resume=True, on_epoch=seen.append))
    assert [row.epoch for row in seen] == [3, 4]
    assert_same(resumed, fit(settings))
    lines = state.with_suffix(".csv").read_text().splitlines()
    assert lines[0].startswith("mode,epoch,loss")
    assert len(lines) == 5
    assert_same(fit(settings, Around(state=state, resume=True)), resumed)


def test_a_state_of_other_settings_or_a_damaged_one_is_refused(tmp_path: Path) -> None:
    state = tmp_path / "both.safetensors"
    once = msgspec.structs.replace(SETTINGS, epochs=1)
    fit(once, Around(state=state))
    with pytest.raises(CheckpointError, match="other settings"):
        fit(once, Around(state=state, resume=True), seed=1)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="without --resume"):
        fit(once, Around(state=state, resume=True))


def test_a_full_disk_leaves_the_last_state(tmp_path: Path) -> None:
    file = tmp_path / "both.safetensors"
    trained = Fit(MODEL, SETTINGS, stack_windows(TRAIN), PROTOTYPES, 0, Processes())
    trained.epoch(VALIDATION, MODEL.labels)
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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["both.csv", "both.safetensors"]


def test_training_stops_when_validation_gets_no_better() -> None:
    stuck = msgspec.structs.replace(SETTINGS, epochs=30, patience=2, learning_rate=1e-12, ema=0.0)
    assert len(fit(stuck).epochs) == 3


STILL = msgspec.structs.replace(SETTINGS, feature_noise=0.0, ema=0.0)
WITHOUT_DROPOUT = msgspec.structs.replace(
    MODEL, fusion=msgspec.structs.replace(MODEL.fusion, dropout=0.0, head_dropout=0.0)
)


def gradients(accumulation: int, processes: Processes) -> list[torch.Tensor]:
    settings = msgspec.structs.replace(STILL, accumulation=accumulation, focal_gamma=1.0)
    trained = Fit(WITHOUT_DROPOUT, settings, stack_windows(TRAIN), PROTOTYPES, 0, processes)
    trained.fusion.train()
    trained.step(torch.arange(5))
    assert trained.text is not None
    learned = [*trained.fusion.parameters(), *trained.text.parameters()]
    return [p.grad for p in learned if p.grad is not None]


@pytest.mark.parametrize("parts", [2, 5, 7])
def test_accumulated_gradients_equal_the_whole_batchs(parts: int) -> None:
    whole, accumulated = gradients(1, Processes()), gradients(parts, Processes())
    assert len(whole) == len(accumulated)
    for one, other in zip(accumulated, whole, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_every_window_is_in_one_share() -> None:
    parts = [part for rank in range(3) for part in shares(16, 2, Processes(rank, 3))]
    assert torch.cat(parts).tolist() == list(range(16))


def test_two_processes_have_the_gradients_of_one(tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    code = (
        "import sys\n"
        "from safetensors.torch import save_file\n"
        "from test_fit import gradients\n"
        "from emorec_train.processes import joined\n"
        "with joined('cpu') as processes:\n"
        "    found = gradients(2, processes)\n"
        "    save_file({str(k): g for k, g in enumerate(found)}, f'{sys.argv[1]}/{processes.rank}')\n"
        "    with processes.in_turn():\n"
        "        print('turn', processes.rank, flush=True)\n"
    )
    path = os.pathsep.join(str(root / f) for f in ("runtime", "train", "tests", "tests/train"))
    environment = {**os.environ, "PYTHONPATH": path, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "0"}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    script = tmp_path / "part.py"
    script.write_text(code)
    done = subprocess.run(
        [*command, str(script), str(tmp_path)], env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.startswith("turn")] == ["turn 0", "turn 1"]
    one = gradients(1, Processes())
    for rank in range(2):
        found = load_file(tmp_path / str(rank))
        assert len(found) == len(one)
        for number, theirs in enumerate(one):
            torch.testing.assert_close(found[str(number)], theirs, atol=1e-6, rtol=1e-4)
