"""Clips of data sets as training sees them."""

from __future__ import annotations

import csv
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import MediaError, UsageError
from emorec_rt.media import Frame, MissingFrame, Samples, open_media
from emorec_train.data.dataset_clips import SHARED_SPEAKERS, DataRequest, DatasetClips, open_clips
from emorec_train.data.datasets import DatasetError, LeakError
from emorec_train.data.datasets.clip_items import read_picture
from emorec_train.data.datasets.facts import media_facts
from emorec_train.data.labels import IGNORED
from emorec_train.data.synthetic import SPLITS
from emorec_train.features.crops import crop_clips
from emorec_train.options import with_splits
from layouts import (
    ANNOTATIONS,
    FPS,
    annotate,
    write_affwild2,
    write_cremad,
    write_pictures,
    write_ravdess,
    write_video,
    write_wave,
)
from small_model import config

LEFT = "affwild2:10-25-96x96_left"


def request(*sets: str, labels: tuple[str, ...] = (), pattern: str | None = None) -> DatasetClips:
    return open_clips(DataRequest(sets, labels, pattern), workers=1)


def write_rows(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["path", "label", "split", "speaker"], *rows])
    return path


@pytest.fixture
def rows(tmp_path: Path) -> list[list[object]]:
    """Two expressions in two splits, of four speakers."""
    return [
        [write_wave(tmp_path / f"{split}-{label}.wav", seed), label, split, f"{split}{label}"]
        for seed, (split, label) in enumerate(
            (split, label) for split in ("train", "validation") for label in ("happy", "sad")
        )
    ]


def test_crops_take_the_times_of_the_videos_frames_and_gaps_stay_gaps(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path, missing=(1, 3, 4))
    clip = request(f"affwild2:{root}").open(LEFT)
    items = list(clip.items)
    with open_media(root / "batch1" / "10-25-96x96.mp4", threads=1) as media:
        expected = list(media)
    sound, own_sound = (
        np.concatenate([i.pcm for i in every if isinstance(i, Samples)]) for every in (expected, items)
    )
    np.testing.assert_array_equal(own_sound, sound)
    frames = [item for item in items if not isinstance(item, Samples)]
    times = [item.pts_seconds for item in expected if isinstance(item, Frame)]
    assert [frame.pts_seconds for frame in frames] == times
    assert [frame.index for frame in frames] == list(range(len(times)))
    assert [frame.index for frame in frames if isinstance(frame, MissingFrame)] == [0, 2, 3]
    assert clip.faces == "off"
    picture = read_picture(root / "cropped_aligned" / "10-25-96x96_left" / "00002.jpg")
    assert isinstance(frames[1], Frame)
    np.testing.assert_array_equal(frames[1].pixels, picture)


def test_frame_labels_lie_at_the_frames_times(tmp_path: Path) -> None:
    source = request(f"affwild2:{write_affwild2(tmp_path)}")
    times = np.arange(15) / FPS
    assert source.truth(LEFT).at(times, times).tolist() == [k % 8 for k in range(15)]
    late = np.array([0.04 + 0.001, 0.599, 0.8])
    assert source.truth(LEFT).at(late, times).tolist() == [1, 6, IGNORED]


def test_lines_that_are_missing_and_extra(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_affwild2(tmp_path)
    every = list(range(8))
    annotate(root, "10-25-96x96_left", every)
    annotate(root, "10-25-96x96_right", [*every, *[1] * 30])
    source = request(f"affwild2:{root}")
    told = capsys.readouterr().err
    assert "10-25-96x96_left.txt: has 7 missing lines" in told
    times = np.arange(15) / FPS
    assert source.truth(LEFT).at(times, times).tolist() == [*every, *[IGNORED] * 7]
    right = source.truth("affwild2:10-25-96x96_right")
    assert right.at(times, times).tolist() == [*every, *[1] * 7]


def test_an_annotation_that_is_out_of_range_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_affwild2(tmp_path)
    annotate(root, "10-25-96x96_right", [0, 1, 8])
    source = request(f"affwild2:{root}")
    assert source.clip_ids("train") == [LEFT]
    assert "line 4: label 8 is not -1 to 7" in capsys.readouterr().err


def test_more_pictures_than_the_video_has_frames(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path)
    write_pictures(root / "cropped_aligned" / "10-25-96x96_left", [16, 18], 3)
    clip = request(f"affwild2:{root}").open(LEFT)
    frames = [item for item in clip.items if not isinstance(item, Samples)]
    assert [type(frame) is Frame for frame in frames[14:]] == [True, True, False, True]
    np.testing.assert_allclose(
        [frame.pts_seconds for frame in frames[14:]], np.arange(14, 18) / FPS, atol=1e-3
    )
    assert clip.warnings[0].endswith(
        "3 more frames than " + str(root / "batch1" / "10-25-96x96.mp4") + " has"
    )


def test_a_picture_that_cannot_be_read_is_missing(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path)
    damaged = root / "cropped_aligned" / "10-25-96x96_left" / "00005.jpg"
    damaged.write_bytes(b"no picture")
    clip = request(f"affwild2:{root}").open(LEFT)
    missing = [item.index for item in clip.items if isinstance(item, MissingFrame)]
    assert missing == [2, 3, 4]
    assert clip.warnings == [f"{damaged}: can't be read; taken as missing"]


def test_without_a_video_the_name_tells_the_rate(tmp_path: Path) -> None:
    root = write_affwild2(tmp_path)
    shutil.rmtree(root / "batch1")
    items = list(request(f"affwild2:{root}").open(LEFT).items)
    np.testing.assert_allclose([item.pts_seconds for item in items], np.arange(15) / 25)


def test_each_stream_alone_is_masked_in_the_other(tmp_path: Path) -> None:
    root = write_ravdess(tmp_path / "r")
    write_video(root / "Actor_01" / "02-01-03-01-01-02-01.mp4", 9, sound=False)
    source = request(f"ravdess:{root}")
    ids = ["ravdess:01-01-01-01-01-01", "ravdess:01-04-01-01-01-01", "ravdess:01-03-01-01-02-01"]
    clips = list(crop_clips(source, ids, config().preprocessing.vision, tmp_path, workers=1))
    assert [(len(clip.found) > 0, len(clip.samples) > 0) for clip in clips] == [
        (True, True),
        (False, True),
        (True, False),
    ]
    assert clips[1].labels_at(np.array([0.0, 99.0])).tolist() == [source.labels.index("Sadness")] * 2


def test_sound_of_a_file_is_one_run(tmp_path: Path) -> None:
    root = write_ravdess(tmp_path / "r")
    (clip,) = crop_clips(
        request(f"ravdess:{root}"),
        ["ravdess:01-04-01-01-01-01"],
        config().preprocessing.vision,
        tmp_path,
        workers=1,
    )
    (run,) = clip.samples
    blocks = []
    with open_media(root / "Audio_Speech_Actors_01-24/Actor_01/03-01-04-01-01-01-01.wav") as media:
        blocks = [item.pcm for item in media if isinstance(item, Samples)]
    assert len(blocks) > 1
    np.testing.assert_array_equal(run.pcm, np.concatenate(blocks))


def test_sets_keep_apart_and_labels_are_mapped_by_name(tmp_path: Path) -> None:
    ravdess, cremad = write_ravdess(tmp_path / "r"), write_cremad(tmp_path / "c")
    source = request(f"cremad:{cremad}", f"ravdess:{ravdess}")
    assert source.labels == EXPRESSIONS[:-1]
    splits = [set(source.clip_ids(split)) for split in ("train", "validation", "test")]
    assert sum(map(len, splits)) == len(set.union(*splits)) == 3 * 6 + 3 * 7
    few = request(f"cremad:{cremad}", f"ravdess:{ravdess}", labels=("Sadness", "Anger"))
    every = [clip_id for split in ("train", "validation", "test") for clip_id in few.clip_ids(split)]
    assert {few.truth(clip_id).labels[0] for clip_id in every} == {0, 1}
    assert few.truth("cremad:1001_IEO_SAD_HI").labels.tolist() == [0]
    assert len(every) == 3 * 2 + 3 * 2
    pickle.loads(pickle.dumps(few)).open(every[0])  # noqa: S301 - it goes to worker processes


def test_speakers_stay_on_one_side(tmp_path: Path) -> None:
    source = request(f"ravdess:{write_ravdess(tmp_path, actors=5, videos=0)}")
    speakers = [
        {source.records[clip_id].speaker for clip_id in source.clip_ids(split)}
        for split in ("train", "validation", "test")
    ]
    assert sum(map(len, speakers)) == len(set.union(*speakers)) == 5


def test_the_same_sound_in_two_splits_is_refused(tmp_path: Path, rows: list[list[object]]) -> None:
    shutil.copy(str(rows[0][0]), tmp_path / "copy.wav")
    rows.append([tmp_path / "copy.wav", "happy", "validation", "somebody else"])
    with pytest.raises(LeakError, match=r"sound \w{12} is in train .* and validation"):
        request(f"csv:{write_rows(tmp_path / 'm.csv', rows)}")


def test_the_same_speaker_in_two_splits_is_refused(tmp_path: Path, rows: list[list[object]]) -> None:
    rows[2][3] = rows[0][3]
    with pytest.raises(LeakError, match="speaker trainhappy"):
        request(f"csv:{write_rows(tmp_path / 'm.csv', rows)}")


def test_a_shared_speaker_is_taken_where_that_is_known_and_told(
    tmp_path: Path, rows: list[list[object]], capsys: pytest.CaptureFixture[str]
) -> None:
    rows[2][3] = rows[0][3]
    asked = DataRequest((f"csv:{write_rows(tmp_path / 'm.csv', rows)}",), shared_speakers=True)
    assert len(open_clips(asked, workers=1).records) == len(rows)
    assert SHARED_SPEAKERS in capsys.readouterr().err
    shutil.copy(str(rows[0][0]), str(rows[2][0]))  # the same sound is refused all the same
    with pytest.raises(LeakError, match="sound"):
        open_clips(asked, workers=1)


def test_official_splits_may_share_a_recording(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write_affwild2(tmp_path / "aff")
    (root / ANNOTATIONS / "Train_Set/10-25-96x96_left.txt").rename(
        root / ANNOTATIONS / "Validation_Set/10-25-96x96_left.txt"
    )
    clips = request(f"affwild2:{root}")
    assert [len(clips.clip_ids(split)) for split in SPLITS] == [1, 2, 0]
    told = capsys.readouterr().err
    assert (
        "the challenge's own splits overlap in 2 places, and are kept; speaker aff-wild2-10-25-96x96" in told
    )
    # The split of a csv file is not official.
    shutil.copy(root / "batch1/10-25-96x96.mp4", tmp_path / "mine.mp4")
    mine = write_rows(tmp_path / "m.csv", [["mine.mp4", "happy", "validation", "me"]])
    with pytest.raises(LeakError, match="sound"):
        request(f"affwild2:{root}", f"csv:{mine}")


def test_a_fold_takes_the_place_of_the_splits(tmp_path: Path) -> None:
    root = write_ravdess(tmp_path / "ravdess", actors=4)
    tested: set[str] = set()
    for fold in (1, 2, 3):
        clips = open_clips(DataRequest((f"ravdess:{root}",), fold=fold, folds=3), workers=1)
        speakers = {
            split: {clips.records[name].speaker for name in clips.clip_ids(split)} for split in SPLITS
        }
        assert sum(map(len, speakers.values())) == 4
        tested.update(clips.clip_ids("test"))
    assert tested == set(clips.records)


@pytest.mark.parametrize("fold", ["0/5", "6/5", "1/2", "one", "1/5/9"])
def test_a_fold_that_means_nothing_is_wrong_usage(fold: str) -> None:
    with pytest.raises(UsageError, match="write it as 1/5"):
        with_splits(DataRequest(("csv:x",)), shared_speakers=False, fold=fold)


def test_names_of_speakers_count_within_their_folder(tmp_path: Path, rows: list[list[object]]) -> None:
    train = [[path, label, split, "anna"] for path, label, split, _ in rows[:2]]
    validation = [[path, label, split, "anna"] for path, label, split, _ in rows[2:]]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = f"csv:{write_rows(tmp_path / 'a' / 'train.csv', train)}"
    clips = request(first, f"csv:{write_rows(tmp_path / 'b' / 'validation.csv', validation)}")
    assert len({record.speaker for record in clips.records.values()}) == 2
    with pytest.raises(LeakError, match=f"speaker anna of {tmp_path / 'a'} is in train"):
        request(first, f"csv:{write_rows(tmp_path / 'a' / 'validation.csv', validation)}")


def test_a_class_without_a_sample_is_refused(tmp_path: Path, rows: list[list[object]]) -> None:
    rows[0][1] = "sad"
    with pytest.raises(DatasetError, match="no sample of Happiness among the 2 train clips"):
        request(f"csv:{write_rows(tmp_path / 'm.csv', rows)}")
    rows[1][1] = "fear"
    manifest = f"csv:{write_rows(tmp_path / 'm.csv', rows)}"
    assert request(manifest, labels=("Fear", "Sadness")).labels == ("Fear", "Sadness")
    with pytest.raises(DatasetError, match="no sample of Anger among"):
        request(manifest, labels=("Sadness", "Anger"))


@pytest.mark.parametrize(("kept", "lost"), [(slice(0, 2), "validation"), (slice(2, 4), "train")])
def test_an_empty_split_is_refused(kept: slice, lost: str, tmp_path: Path, rows: list[list[object]]) -> None:
    with pytest.raises(DatasetError, match=f"no labelled clip in the {lost} split"):
        request(f"csv:{write_rows(tmp_path / 'm.csv', rows[kept])}")


def test_too_few_speakers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="2 speakers can't be put into 3 parts"):
        request(f"ravdess:{write_ravdess(tmp_path, actors=2, videos=0)}")


@pytest.mark.parametrize("labels", [("Anger", "Calm"), ("Anger",), ("Anger", "Anger")])
def test_labels_that_are_none(labels: tuple[str, ...], tmp_path: Path, rows: list[list[object]]) -> None:
    with pytest.raises(UsageError):
        request(f"csv:{write_rows(tmp_path / 'm.csv', rows)}", labels=labels)


def test_the_fingerprint_is_of_the_content(tmp_path: Path, rows: list[list[object]]) -> None:
    manifest = write_rows(tmp_path / "m.csv", rows)
    before = request(f"csv:{manifest}")
    first, second = before.clip_ids("train")
    assert before.fingerprint(first) != before.fingerprint(second)
    moved = (tmp_path / "train-happy.wav").rename(tmp_path / "moved.wav")
    after = request(f"csv:{write_rows(manifest, [[moved, *rows[0][1:]], *rows[1:]])}")
    assert after.fingerprint(f"csv:{moved}") == before.fingerprint(first)
    moved.write_bytes(moved.read_bytes()[:-2] + b"\x01\x02")
    changed = request(f"csv:{write_rows(manifest, [[moved, *rows[0][1:]], *rows[1:]])}")
    assert changed.fingerprint(f"csv:{moved}") != before.fingerprint(first)


def test_files_are_looked_at_again_when_they_have_changed(tmp_path: Path) -> None:
    path, memo = write_wave(tmp_path / "a.wav", 0), tmp_path / "media.json"
    first = media_facts([path], [path], workers=1, memo=memo)[path]
    memo.write_bytes(memo.read_bytes().replace(first.content.encode(), b"remembered"))
    assert media_facts([path], [path], workers=1, memo=memo)[path].content == "remembered"
    write_wave(path, 1, seconds=0.7)
    assert media_facts([path], [path], workers=1, memo=memo)[path].content != "remembered"
    memo.write_text("no json")
    assert media_facts([path], [], workers=1, memo=memo)[path].sound is None
    assert media_facts([path], [path], workers=1, memo=memo)[path].sound is not None


def test_a_folder_of_pictures_has_one_hash(tmp_path: Path) -> None:
    folder = write_pictures(tmp_path / "p", [1, 2], 0)
    before = media_facts([folder], [], workers=1)[folder].content
    write_pictures(tmp_path / "p", [2], 5)
    assert media_facts([folder], [], workers=1)[folder].content != before


def test_what_cannot_be_opened_says_which_file(tmp_path: Path, rows: list[list[object]]) -> None:
    (tmp_path / "train-sad.wav").write_bytes(b"RIFF")
    source = request(f"csv:{write_rows(tmp_path / 'm.csv', rows)}")
    (clip_id,) = (clip_id for clip_id in source.clip_ids("train") if "sad" in clip_id)
    with pytest.raises(MediaError, match=r"train-sad\.wav"):
        list(source.open(clip_id).items)
