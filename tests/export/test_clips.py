"""The clips that a checkpoint names: which are taken, and how they are found again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from emorec_export.chain import MAX_CLIP_SECONDS, beginning, take_in
from emorec_export.clips import CALIBRATION_SECONDS, RecordedClips, recorded_clips
from emorec_rt.bundle.manifest import Decoding
from emorec_rt.errors import UsageError
from emorec_rt.faces import FaceDetector
from emorec_rt.media.types import Frame, MediaItem, MissingFrame, Samples
from emorec_train.data.dataset_clips import DataRequest, open_clips
from emorec_train.data.synthetic import clip_seeds
from emorec_train.model.checkpoint import Checkpoint
from layouts import write_affwild2
from tiny_model import CONFIG

LEFT, RIGHT, HELD_OUT = (f"affwild2:{name}" for name in ("10-25-96x96_left", "10-25-96x96_right", "video7"))
RECORDED = {"train": [LEFT, RIGHT], "validation": [HELD_OUT], "test": []}


def naming(checkpoint: Checkpoint, clips: dict[str, list[str]], **settings: Any) -> Checkpoint:
    record = msgspec.structs.replace(checkpoint.training, clips=clips, settings=settings)
    return dataclasses.replace(checkpoint, training=record)


@pytest.fixture
def affwild2(tmp_path: Path) -> Path:
    return write_affwild2(tmp_path / "affwild2")


def test_a_sample_is_seeded_and_spread(checkpoint: Checkpoint) -> None:
    seeds = [str(seed) for seed in clip_seeds("train", 100)]
    clips = recorded_clips(naming(checkpoint, {"train": seeds}))
    chosen = clips.ids("train", 20)
    assert chosen == clips.ids("train", 20)
    assert chosen != clips.ids("train", 20, seed=1)
    places = [seeds.index(clip_id) for clip_id in chosen]
    assert (len(set(places)), places) == (20, sorted(places))
    assert min(places) < 25
    assert max(places) > 75
    assert clips.ids("train", 1000) == seeds


def test_clips_that_judge_choose_nothing(checkpoint: Checkpoint) -> None:
    seeds = [str(seed) for seed in clip_seeds("validation", 8)]
    clips = recorded_clips(naming(checkpoint, {"train": ["1"], "validation": seeds}))
    judging = clips.ids("test", 5)
    assert set(judging) <= set(seeds)  # there is no test split
    assert set(clips.ids("validation", 6, leave_out=judging)) == set(seeds) - set(judging)
    assert clips.ids("validation", 6, leave_out=seeds) == []


def test_rows_are_the_runtimes(affwild2: Path) -> None:
    clip = open_clips(DataRequest((f"affwild2:{affwild2}",)), workers=1).open(HELD_OUT)
    sample = take_in(clip, CONFIG.preprocessing, FaceDetector())
    times = np.array([0.0, 0.2, 0.4, 0.56])
    logits = np.zeros((4, 8), np.float32)
    logits[:, 1], logits[:2, 4] = 1.0, 1.5
    plain, truth = sample.rows(times, logits, Decoding())
    assert len(plain) == len(truth) == len(sample.frame_times_seconds)
    assert truth.tolist() == [k % 8 for k in range(len(truth))]
    assert plain.tolist() == [4] * 7 + [1] * (len(plain) - 7)  # interpolated at the frames between steps
    corrected, _ = sample.rows(times, logits, Decoding(logit_bias=(0.0,) * 4 + (-1.0,) + (0.0,) * 3))
    assert set(corrected.tolist()) == {1}


def test_a_split_without_clips_is_refused(checkpoint: Checkpoint) -> None:
    clips = recorded_clips(naming(checkpoint, {"train": ["1"], "validation": [], "test": []}))
    with pytest.raises(UsageError, match="records no test clips"):
        clips.ids("test", 3)


def test_data_sets_are_opened_where_they_lay(checkpoint: Checkpoint, affwild2: Path) -> None:
    request = DataRequest((f"affwild2:{affwild2}",))
    clips = recorded_clips(naming(checkpoint, RECORDED, data=request.recorded()))
    assert not clips.generated
    assert clips.ids("train", 9) == [LEFT, RIGHT]
    assert clips.ids("test", 9) == [HELD_OUT], "no test split: the validation clips"
    (clip,) = clips.calibration([LEFT])
    assert clip.faces == "off"
    assert sum(isinstance(item, Frame) for item in clip.items) > 10


def test_a_request_is_recorded_whatever_folder_it_was_made_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    recorded = DataRequest(("csv:rows.csv",), ("Anger", "Fear"), "(.*)_").recorded()
    assert recorded == {
        "sets": [f"csv:{tmp_path.resolve()}/rows.csv"],
        "labels": ["Anger", "Fear"],
        "speaker_pattern": "(.*)_",
        "shared_speakers": False,
        "fold": 0,
        "folds": 0,
    }


def test_data_that_have_moved(checkpoint: Checkpoint, affwild2: Path) -> None:
    old = naming(checkpoint, RECORDED)
    with pytest.raises(UsageError, match=r"doesn't say where they are; --data NAME:PATH"):
        recorded_clips(old)
    assert recorded_clips(old, DataRequest((f"affwild2:{affwild2}",))).ids("test", 1) == [HELD_OUT]
    other = naming(checkpoint, {"train": [LEFT, "affwild2:lost"]})
    with pytest.raises(UsageError, match=r"1 of its 2 clips are not in affwild2:.*, such as affwild2:lost"):
        recorded_clips(other, DataRequest((f"affwild2:{affwild2}",)))
    with pytest.raises(UsageError, match="can't be read"):
        recorded_clips(naming(checkpoint, RECORDED, data={"sets": 3}))


def test_frame_labels_lie_at_the_times_of_all_frames(checkpoint: Checkpoint, affwild2: Path) -> None:
    clips = recorded_clips(
        naming(checkpoint, RECORDED, data=DataRequest((f"affwild2:{affwild2}",)).recorded())
    )
    sample = take_in(next(clips.labelled([LEFT])), CONFIG.preprocessing, FaceDetector())
    frames = [item for item in sample.items if not isinstance(item, Samples)]
    assert any(isinstance(item, MissingFrame) for item in frames)
    assert all(item.pixels.shape == (1, 1, 3) for item in frames if isinstance(item, Frame))
    times = np.array([item.pts_seconds for item in frames])
    assert sample.truth_at(times).tolist() == [k % 8 for k in range(len(times))]


def _frames(start: float, count: int, period: float) -> list[MediaItem]:
    return [Frame(k, start + k * period, np.zeros((1, 1, 3), np.uint8)) for k in range(count)]


@pytest.mark.parametrize("sound_first", [False, True])
def test_the_beginning_ends_decoding_soon(sound_first: bool) -> None:
    sound: list[MediaItem] = [Samples(5.0 + k, np.zeros(16_000, np.float32)) for k in range(100)]
    frames = _frames(5.0, 1000, 0.1)
    order = sound + frames if sound_first else sorted(frames + sound, key=lambda item: item.pts_seconds)
    read: list[MediaItem] = []
    taken = list(beginning((read.append(item) or item for item in order), 10.0))  # type: ignore[func-returns-value]
    assert max(item.pts_seconds for item in taken) < 15.0
    assert sum(isinstance(item, Frame) for item in taken) == 100
    assert sum(isinstance(item, Samples) for item in taken) == 10
    assert max(item.pts_seconds for item in read if isinstance(item, Frame)) <= 16.2
    assert CALIBRATION_SECONDS < MAX_CLIP_SECONDS


def test_a_short_clip_is_whole(checkpoint: Checkpoint) -> None:
    clips: RecordedClips = recorded_clips(checkpoint)
    ids = clips.ids("train", 1)
    whole = list(clips.source.open(ids[0]).items)
    (clip,) = clips.calibration(ids)
    assert len(list(clip.items)) == len(whole)
