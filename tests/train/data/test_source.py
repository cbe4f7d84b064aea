from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from emorec_rt.bundle.tasks import MEASURES
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.faces import FaceCropper
from emorec_rt.faces.cropped import cropped_items
from emorec_rt.media.types import Frame, Samples
from emorec_rt.windows.iterate import iter_windows
from emorec_train.data.labels import IGNORED, labels_at, map_labels
from emorec_train.data.source import GeneratedClips
from emorec_train.data.synthetic import ClipSpec
from emorec_train.evaluation.metrics import score
from emorec_train.evaluation.stitched import evaluate, step_labels
from emorec_train.features.crops import CroppedClip, crop_clips
from emorec_train.features.windows import TorchEngine, clip_windows, stack_windows
from emorec_train.model.build import build_models
from emorec_train.training.augment import augment_frames, augment_sound
from emorec_train.training.pretrain import ChunkSampler, FrameSampler
from small_model import config

SOURCE = GeneratedClips(
    EXPRESSIONS, {"train": 1, "validation": 1, "test": 1}, ClipSpec(seconds=2.0, labels=("Anger", "Fear"))
)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> CroppedClip:
    folder = tmp_path_factory.mktemp("records")
    spec = config().preprocessing.vision
    return next(crop_clips(SOURCE, SOURCE.clip_ids("train"), spec, folder, workers=1))


def test_labels_are_mapped_by_name() -> None:
    labels = np.array([0, 1, 2, -1])
    assert map_labels(labels, ("Anger", "Calm", "Fear"), ("Fear", "Anger")).tolist() == [
        1,
        IGNORED,
        0,
        IGNORED,
    ]


def test_labels_at_takes_the_nearest_within_reach() -> None:
    times, labels = np.array([0.0, 0.04, 0.08, 1.0]), np.array([3, 4, 5, 6])
    asked = np.array([-0.2, -0.05, 0.03, 0.09, 0.5, 1.05, 1.2])
    assert labels_at(asked, times, labels).tolist() == [IGNORED, 3, 4, 5, IGNORED, 6, IGNORED]
    assert labels_at(np.array([0.0, 5.0]), times[:1], labels[:1]).tolist() == [3, IGNORED]
    assert labels_at(asked, times[:0], labels[:0]).tolist() == [IGNORED] * 7


def test_splits_share_no_clip() -> None:
    ids = [set(SOURCE.clip_ids(split)) for split in ("train", "validation", "test")]
    assert len(set.union(*ids)) == 3


def test_record_holds_what_the_runtime_crops(record: CroppedClip) -> None:
    spec = config().preprocessing.vision
    cropper = FaceCropper("auto", size=spec.crop_size, margin=spec.margin)
    items = list(SOURCE.open(SOURCE.clip_ids("train")[0]).items)
    crops = [cropper.process(item) for item in items if isinstance(item, Frame)]
    assert record.found.tolist() == [crop.found for crop in crops]
    assert record.found.mean() > 0.9
    for kept, crop in zip(record.crops, crops, strict=True):
        if crop.pixels is not None:
            np.testing.assert_array_equal(kept, crop.pixels)
    sound = [item for item in items if isinstance(item, Samples)]
    np.testing.assert_array_equal(record.samples[0].pcm, sound[0].pcm)


def test_windows_equal_those_of_the_runtime(record: CroppedClip) -> None:
    spec, models = config().preprocessing, build_models(config())
    clips = clip_windows([record], spec, models.vision, models.audio, "")
    vision, audio = TorchEngine(models.vision, "vision", spec), TorchEngine(models.audio, "audio", spec)
    cropper = FaceCropper("auto", size=spec.vision.crop_size, margin=spec.vision.margin)
    items = SOURCE.open(record.clip_id).items
    served = list(iter_windows(cropped_items(items, cropper), spec, vision, audio))
    assert len(served) == len(clips[0].windows) > 1
    for one, other in zip(clips[0].windows, served, strict=True):
        for name, array in one.feeds().items():
            np.testing.assert_allclose(array, other.feeds()[name], atol=1e-4)


def test_every_frame_is_scored_once(record: CroppedClip) -> None:
    models = build_models(config())
    clips = clip_windows([record], config().preprocessing, models.vision, models.audio, "")
    np.testing.assert_array_equal(step_labels(clips[0]), record.truth.labels)
    assert evaluate(models.fusion, clips, EXPRESSIONS).steps == len(record.truth.labels)
    assert stack_windows(clips).labels.shape == (len(clips[0].windows), 12)


def test_frame_sampler_draws_crops_with_their_label(record: CroppedClip) -> None:
    crops, labels = FrameSampler([record]).draw(16, np.random.default_rng(0))
    assert set(labels.tolist()) == {EXPRESSIONS.index("Anger"), EXPRESSIONS.index("Fear")}
    for crop, label in zip(crops.numpy(), labels.tolist(), strict=True):
        same = [k for k, other in enumerate(record.crops) if np.array_equal(crop, other)]
        assert label in record.truth.labels[same]


def test_chunk_sampler_marks_what_it_pads(record: CroppedClip) -> None:
    spec = config().preprocessing.audio
    chunks, labels = ChunkSampler([record], spec).draw(64, np.random.default_rng(0))
    assert chunks.shape == (64, spec.chunk_samples)
    assert labels.shape == (64, spec.chunk_tokens)
    silent = chunks.unfold(1, 400, 320).abs().amax(2) == 0.0
    assert (labels == IGNORED).any()
    assert (labels[silent] == IGNORED).float().mean() > 0.9


def test_augmented_frames_stay_pictures() -> None:
    frames = torch.randint(0, 256, (8, 32, 32, 3), dtype=torch.uint8)
    changed = augment_frames(frames, torch.Generator().manual_seed(0))
    assert changed.shape == frames.shape
    assert changed.dtype == torch.uint8
    assert not torch.equal(changed, frames)
    assert torch.equal(changed, augment_frames(frames, torch.Generator().manual_seed(0)))


def test_augmented_sound_keeps_its_shape() -> None:
    samples = torch.randn(4, 1000)
    changed = augment_sound(samples, torch.Generator().manual_seed(0))
    correlation = torch.nn.functional.cosine_similarity(samples, changed)
    assert (correlation > 0.7).all()
    assert (correlation < 1.0).all()


def test_scores_equal_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    truth, predicted = rng.integers(-1, 4, 500), rng.integers(0, 4, 500)
    scores = score(truth, predicted, ("a", "b", "c", "d"))
    labelled = truth >= 0
    assert scores.steps == labelled.sum()
    assert scores.macro_f1 == pytest.approx(f1_score(truth[labelled], predicted[labelled], average="macro"))
    assert score(truth[:0], predicted[:0], ("a",)).macro_f1 == 0.0


def test_records_from_worker_processes_are_the_same(record: CroppedClip, tmp_path: Path) -> None:
    spec = config().preprocessing.vision
    (again,) = crop_clips(SOURCE, [record.clip_id], spec, tmp_path, workers=2)
    np.testing.assert_array_equal(again.crops, record.crops)
    np.testing.assert_array_equal(again.samples[0].pcm, record.samples[0].pcm)


def test_records_in_one_folder_keep_apart(record: CroppedClip, tmp_path: Path) -> None:
    spec = config().preprocessing.vision
    (first,) = crop_clips(SOURCE, [record.clip_id], spec, tmp_path, workers=1)
    (other,) = crop_clips(SOURCE, SOURCE.clip_ids("test"), spec, tmp_path, workers=1)
    np.testing.assert_array_equal(first.crops, record.crops)
    assert not np.array_equal(first.crops, other.crops)


def test_drawn_clips_tell_valence_arousal_and_action_units() -> None:
    truth = GeneratedClips(
        EXPRESSIONS, {"train": 1}, ClipSpec(seconds=6.0, labels=("Sadness", "Happiness"))
    ).truth("3")
    assert truth.times_seconds is not None
    measures = truth.measures_at(truth.times_seconds, truth.times_seconds)
    assert measures is not None
    columns = {name: measures[:, k] for k, name in enumerate(MEASURES)}
    sad, happy = slice(10, 20), slice(-20, -10)  # well inside each segment
    assert columns["valence"][sad].max() < -0.3
    assert columns["valence"][happy].min() > 0.3
    assert columns["AU12"][sad].max() == 0.0
    assert columns["AU12"][happy].min() == 1.0
    assert columns["AU15"][sad].min() == 1.0
    assert np.isnan(columns["AU23"]).all()
    assert np.isnan(columns["AU25"]).all()
    later = truth.measures_at(np.array([100.0]), truth.times_seconds)
    assert later is not None
    assert np.isnan(later).all()
