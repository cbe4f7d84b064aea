"""A clip is what its seed and its spec say."""

from __future__ import annotations

import numpy as np
import pytest

from emorec_rt.constants import EXPRESSIONS, SAMPLE_RATE_HZ
from emorec_rt.errors import UsageError
from emorec_train.data.synthetic import ClipSpec, clip_seeds, draw_clip, plan_clip
from emorec_train.data.synthetic.timeline import SHORTEST_SEGMENT_SECONDS

SHORT = ClipSpec(seconds=1.0, width=128, height=96)


def test_same_seed_same_clip_other_seed_other_clip() -> None:
    first, again, other = draw_clip(5, SHORT), draw_clip(5, SHORT), draw_clip(6, SHORT)
    np.testing.assert_array_equal(first.frames, again.frames)
    np.testing.assert_array_equal(first.pcm, again.pcm)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert np.mean(first.frames != other.frames) > 0.5
    assert not np.array_equal(first.pcm, other.pcm)


def test_plan_draws_the_same_frames_each_time() -> None:
    plan, clip = plan_clip(7, SHORT), draw_clip(7, SHORT)
    for _ in range(2):
        np.testing.assert_array_equal(np.stack(list(plan.iter_frames())), clip.frames)


@pytest.mark.parametrize(
    ("seconds", "fps", "size"), [(1.0, 25.0, (256, 256)), (0.9, 30.0, (320, 240)), (1.0, 7.5, (64, 96))]
)
def test_shapes_types_and_times(seconds: float, fps: float, size: tuple[int, int]) -> None:
    clip = draw_clip(1, ClipSpec(seconds=seconds, fps=fps, width=size[0], height=size[1]))
    count = round(seconds * fps)
    assert clip.frames.shape == (count, size[1], size[0], 3)
    assert clip.frames.dtype == np.uint8
    assert clip.labels.shape == (count,)
    assert clip.labels.dtype == np.int64
    assert clip.pcm.shape == (round(seconds * SAMPLE_RATE_HZ),)
    assert clip.pcm.dtype == np.float32
    np.testing.assert_allclose(clip.times_seconds, np.arange(count) / fps)
    assert clip.boxes.shape == (count, 4)


def test_sound_stays_in_range_and_can_be_left_out() -> None:
    loud = [np.abs(plan_clip(seed, SHORT).pcm).max() for seed in range(5)]
    assert all(0.1 < peak <= 1.0 for peak in loud)
    assert draw_clip(3, ClipSpec(seconds=0.4, sound=False)).pcm.shape == (0,)


def test_given_labels_become_one_segment_each() -> None:
    names = ("Anger", "Neutral", "Fear")
    labels = plan_clip(2, ClipSpec(seconds=9.0, width=64, height=64, labels=names)).labels
    changes = np.flatnonzero(np.diff(labels)) + 1
    assert [EXPRESSIONS[labels[start]] for start in (0, *changes)] == list(names)
    lengths = np.diff([0, *changes, len(labels)])
    assert lengths.min() >= SHORTEST_SEGMENT_SECONDS * 25 - 1


def test_random_segments_are_long_and_cover_every_class() -> None:
    seen: set[int] = set()
    for seed in range(40):
        labels = plan_clip(seed, ClipSpec(width=64, height=64, sound=False)).labels
        lengths = np.diff([0, *(np.flatnonzero(np.diff(labels)) + 1), len(labels)])
        assert lengths.min() >= SHORTEST_SEGMENT_SECONDS * 25 - 1
        seen.update(labels.tolist())
    assert seen == set(range(len(EXPRESSIONS)))


def test_splits_are_disjoint_and_reproducible() -> None:
    train, validation, test = (set(clip_seeds(split, 1000)) for split in ("train", "validation", "test"))
    assert not train & validation
    assert not train & test
    assert not validation & test
    assert clip_seeds("train", 3) == clip_seeds("train", 1000)[:3]


@pytest.mark.parametrize(
    "wrong",
    [{"seconds": 0.0}, {"fps": 0.0}, {"width": 63}, {"height": 32}, {"labels": ("Joy",)}, {"labels": ()}],
)
def test_impossible_specs_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        ClipSpec(**wrong)  # type: ignore[arg-type]


def test_impossible_splits_are_refused() -> None:
    with pytest.raises(UsageError, match="train, validation, test"):
        clip_seeds("dev", 1)  # type: ignore[arg-type]
    with pytest.raises(UsageError):
        clip_seeds("train", 1_000_001)
