"""Training with tasks beside the classes, on windows whose class and measures are in the features."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.bundle.tasks import MEASURES, Tasks
from emorec_rt.windows.window import Window
from emorec_train.evaluation.measures import measure_lines, score_measures
from emorec_train.evaluation.stitched import stitch_clips
from emorec_train.features.windows import ClipWindows
from emorec_train.model.config import ModelConfig
from emorec_train.model.fusion import new_fusion
from emorec_train.settings.fields import FusionSettings
from emorec_train.training.fit import FitResult, fit_fusion
from small_model import FRAME_WIDTH, PER_STEP, STEPS, TOKEN_WIDTH, config, feeds

TASKS = Tasks(valence_arousal=True, action_units=("AU12", "AU04"))
SETTINGS = FusionSettings(epochs=1, batch=4, learning_rate=3e-3, stream_dropout=0.0, stretch_dropout=0.0)
CLASSES = len(config().labels)


def multitask() -> ModelConfig:
    return msgspec.structs.replace(config(), tasks=TASKS)


def clips(count: int, seed: int = 0, *, measured: bool = True) -> list[ClipWindows]:
    """A window a clip, of one class; two features are valence and AU12."""
    rng, ways = np.random.default_rng(seed), np.random.default_rng(99)
    faces = 0.5 * ways.normal(size=(CLASSES, FRAME_WIDTH))
    made = []
    for number in range(count):
        own = number % CLASSES
        frames = (faces[own] + rng.normal(size=(STEPS, FRAME_WIDTH))).astype(np.float32)
        tokens = rng.normal(size=(STEPS * PER_STEP, TOKEN_WIDTH)).astype(np.float32)
        masks = np.ones(STEPS, np.float32), np.ones(STEPS * PER_STEP, np.float32)
        times = np.arange(STEPS) / 25.0
        window = Window(0, STEPS, STEPS, times, frames, masks[0], tokens, masks[1])
        labels = (np.full(STEPS, own, np.int64),)
        measures = (_measures(frames),) if measured else ()
        made.append(ClipWindows(f"clip{number}", [window], labels, measures=measures))
    return made


def _measures(frames: NDArray[np.float32]) -> NDArray[np.float32]:
    measures = np.full((STEPS, len(MEASURES)), np.nan, np.float32)
    measures[:, 0] = np.tanh(frames[:, 0] / 3.0)
    measures[:, MEASURES.index("AU12")] = frames[:, 1] > 0.0
    return measures


def fitted(model: ModelConfig, train: list[ClipWindows], **changes: object) -> FitResult:
    settings = msgspec.structs.replace(SETTINGS, **changes)
    return fit_fusion(model, settings, train, clips(CLASSES, 1), None, seed=0)


def test_without_tasks_the_weights_are_the_same_whatever_measures_there_are() -> None:
    plain = fitted(config(), clips(2 * CLASSES, measured=False)).fusion.state_dict()
    with_measures = fitted(config(), clips(2 * CLASSES)).fusion.state_dict()
    assert plain.keys() == with_measures.keys()
    assert all(torch.equal(plain[name], with_measures[name]) for name in plain)
    torch.manual_seed(5)
    alone = new_fusion(config()).state_dict()
    torch.manual_seed(5)
    beside = new_fusion(multitask()).state_dict()
    assert all(torch.equal(alone[name], beside[name]) for name in alone)
    assert {name.split(".")[0] for name in beside.keys() - alone.keys()} == {"task_heads"}


def test_measures_are_learnt_and_scored() -> None:
    model, test = multitask(), clips(2 * CLASSES, 2)
    fusion = fitted(model, clips(8 * CLASSES), epochs=16, batch=8, learning_rate=5e-3).fusion
    stitched = stitch_clips(fusion, test)
    scores = score_measures(stitched, TASKS)
    assert scores is not None
    assert scores.ccc["valence"] > 0.5
    assert scores.f1["AU12"] > 0.7
    assert "AU04" not in scores.f1  # no label
    assert scores.labels == {"valence": 24 * 8, "arousal": 0, "AU12": 24 * 8, "AU04": 0}
    assert "valence" in measure_lines(scores)
    smoothed = score_measures(stitched, TASKS, Decoding(smoothing_seconds=1.0, logit_bias=(0.0,) * CLASSES))
    assert smoothed is not None
    assert smoothed.ccc["valence"] < scores.ccc["valence"]  # noise from step to step
    assert score_measures(stitch_clips(fusion, clips(2, measured=False)), TASKS) is None


def test_the_graph_gives_logits_and_then_each_task() -> None:
    fusion = new_fusion(multitask()).eval()
    logits, affect, units = fusion(**feeds(3))
    assert (logits.shape, affect.shape, units.shape) == ((3, STEPS, CLASSES), (3, STEPS, 2), (3, STEPS, 2))
    assert affect.abs().max() <= 1.0
    own = fusion.outputs(**feeds(3))
    torch.testing.assert_close(own.tasks["action_units"], units)


def test_a_clip_without_measures_stands_beside_one_with() -> None:
    mixed = [*clips(4), *clips(4, 1, measured=False)]
    assert fitted(multitask(), mixed).log[0].loss > 0.0
    units = replace(mixed[0], measures=tuple(np.full_like(own, np.nan) for own in mixed[0].measures))
    assert fitted(multitask(), [units, *mixed[4:]]).log
