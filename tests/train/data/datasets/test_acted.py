"""RAVDESS and CREMA-D."""

from __future__ import annotations

import pickle
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from emorec_rt.errors import UsageError
from emorec_train.data.datasets import CremaD, DatasetError, Ravdess, check_disjoint, open_data_set

Touch = Callable[..., Path]


def ravdess_tree(modalities: tuple[str, ...] = ("03",), actors: int = 6) -> list[str]:
    suffix = {"01": ".mp4", "02": ".mp4", "03": ".wav"}
    return [
        f"Actor_{actor:02d}/{modality}-01-{emotion:02d}-01-01-01-{actor:02d}{suffix[modality]}"
        for modality in modalities
        for emotion in range(1, 9)
        for actor in range(1, actors + 1)
    ]


def test_files_of_one_utterance_are_one_clip(touch: Touch) -> None:
    root = touch(
        "Video_Speech_Actor_01/Actor_01/01-01-03-01-01-01-01.mp4",
        "Video_Speech_Actor_01/Actor_01/02-01-03-01-01-01-01.mp4",
        "Audio_Speech_Actors_01-24/Actor_01/03-01-03-01-01-01-01.wav",
        "Video_Speech_Actor_01/Actor_01/02-01-04-01-01-01-01.mp4",
        "Audio_Speech_Actors_01-24/Actor_01/03-01-04-01-01-01-01.wav",
        "Audio_Speech_Actors_01-24/Actor_01/03-01-05-01-01-01-01.wav",
    )
    happy, sad, angry = Ravdess(root).scan().records
    assert (happy.label, sad.label, angry.label) == ("Happiness", "Sadness", "Anger")
    assert happy.video == happy.sound
    assert happy.video is not None
    assert happy.video.name.startswith("01-")
    assert sad.video is not None
    assert sad.sound is not None
    assert (sad.video.name[:2], sad.sound.name[:2]) == ("02", "03")
    assert angry.video is None
    assert {record.speaker for record in (happy, sad, angry)} == {"ravdess-01"}


def test_calm_is_left_out_or_mapped(touch: Touch) -> None:
    root = touch(*ravdess_tree(actors=1))
    assert len(Ravdess(root).scan().records) == 7
    labels = Counter(record.label for record in Ravdess(root, calm="Neutral").scan().records)
    assert labels["Neutral"] == 2
    assert Ravdess(root).labels == (
        "Neutral",
        "Anger",
        "Disgust",
        "Fear",
        "Happiness",
        "Sadness",
        "Surprise",
    )


def test_song_can_be_left_out(touch: Touch) -> None:
    root = touch("03-01-03-01-01-01-01.wav", "03-02-03-01-01-01-01.wav")
    assert len(Ravdess(root).scan().records) == 2
    assert [record.clip_id for record in Ravdess(root, song=False).scan().records] == ["01-03-01-01-01-01"]


def test_the_command_line_says_what_calm_and_song_are(touch: Touch) -> None:
    root = touch(*ravdess_tree())
    name, data_set = open_data_set(f"ravdess,calm=Neutral,song=no:{root}")
    assert (name, data_set) == ("ravdess", Ravdess(root, calm="Neutral", song=False))
    assert open_data_set(f"ravdess:{root}") == ("ravdess", Ravdess(root))


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ("ravdess,calm=calm:/data", "calm=calm: give Neutral"),
        ("ravdess,song=0:/data", "song=0: give yes, no"),
        ("ravdess,songs=no:/data", "ravdess has no option 'songs'"),
        ("cremad,song=no:/data", "cremad has no option 'song'"),
        ("affwild2,images=aligned:/data", "images=aligned: give cropped_aligned, cropped"),
        ("affwild2,counts=:/data", "counts=: give a file"),
        ("savee:/data", "one of the names affwild2"),
    ],
)
def test_a_wrong_request_is_one_clear_line(request_: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason) as caught:
        open_data_set(request_)
    assert request_ in str(caught.value)


def test_odd_names_and_second_copies_are_problems(touch: Touch) -> None:
    root = touch("a/03-01-03-01-01-01-01.wav", "b/03-01-03-01-01-01-01.wav", "b/03-01-09-01-01-01-01.wav")
    touch("b/.DS_Store", "b/._03-01-03-01-01-01-01.wav", "README.txt")
    records, problems = Ravdess(root).scan()
    assert [record.sound for record in records] == [root / "a/03-01-03-01-01-01-01.wav"]
    twice, odd = map(str, problems)
    assert twice == f"{root / 'b/03-01-03-01-01-01-01.wav'}: is here twice; {records[0].sound} is used"
    assert odd.startswith(f"{root / 'b/03-01-09-01-01-01-01.wav'}: is not named MM-VC")


def test_actors_are_dealt_into_splits(touch: Touch) -> None:
    root = touch(*ravdess_tree(("01", "03"), actors=8))
    data_set = Ravdess(root, split_seed=3)
    splits = {split: data_set.records(split) for split in ("train", "validation", "test")}
    assert sum(map(len, splits.values())) == 7 * 8
    assert [len({record.speaker for record in records}) for records in splits.values()] == [6, 1, 1]
    check_disjoint(splits, sound=False)


def test_a_scan_travels_to_worker_processes(touch: Touch) -> None:
    data_set = Ravdess(touch(*ravdess_tree(actors=3)))
    records = data_set.records("train")
    for path in data_set.root.rglob("*.wav"):
        path.unlink()
    again = pickle.loads(pickle.dumps(data_set))  # noqa: S301 - our own
    assert [record.clip_id for record in again.records("train")] == [record.clip_id for record in records]


def test_an_unusable_set_is_one_clear_line(touch: Touch) -> None:
    root = touch("readme.txt")
    with pytest.raises(
        DatasetError, match=r"no RAVDESS clip in the train split; found train 0, validation 0"
    ):
        Ravdess(root).records("train")
    with pytest.raises(DatasetError, match="there is no such folder"):
        Ravdess(root / "nothing").scan()
    touch(*(name for name in ravdess_tree(actors=2)))
    with pytest.raises(DatasetError, match="2 speakers can't be put into 3 parts"):
        Ravdess(root).records("train")


def test_a_class_without_a_sample_is_an_error(touch: Touch) -> None:
    root = touch(
        *(name for name in ravdess_tree(actors=4) if "-01-06-" not in name and "-01-08-" not in name)
    )
    with pytest.raises(DatasetError, match=r"no sample of Fear, Surprise among the 10 train clips"):
        Ravdess(root).records("train")


def test_real_ravdess_names(media_root: Path) -> None:
    records, problems = Ravdess(media_root / "labelled" / "ravdess").scan()
    files = list((media_root / "labelled" / "ravdess").glob("*.wav"))
    calm = [path for path in files if path.name[6:8] == "02"]
    assert not problems
    assert len(records) == len(files) - len(calm) > 60
    assert {record.label for record in records} == set(Ravdess(media_root).labels)
    rows = (media_root / "manifest.csv").read_text(encoding="utf-8").splitlines()
    happy = [row for row in rows if row.startswith("labelled/ravdess") and '"happy,' in row]
    assert len(happy) == sum(record.label == "Happiness" for record in records)


CREMAD = [
    f"{folder}/{actor}_IEO_{emotion}_HI.{suffix}"
    for folder, suffix in (("VideoFlash", "flv"), ("AudioWAV", "wav"), ("AudioMP3", "mp3"))
    for actor in (1001, 1002, 1003, 1091)
    for emotion in ("ANG", "DIS", "FEA", "HAP", "NEU", "SAD")
]


def test_cremad_groups_video_and_sound(touch: Touch) -> None:
    root = touch(*CREMAD, "AudioWAV/1002_IWW_SAD_LO.wav", "AudioMP3/1002_IWW_SAD_LO.mp3")
    records, problems = CremaD(root).scan()
    assert not problems
    assert len(records) == 25
    clip = records[0]
    assert (clip.clip_id, clip.label, clip.speaker) == ("1001_IEO_ANG_HI", "Anger", "crema-d-1001")
    assert clip.video == clip.sound == root / "VideoFlash/1001_IEO_ANG_HI.flv"
    heard = next(record for record in records if record.video is None)
    assert heard.sound == root / "AudioWAV/1002_IWW_SAD_LO.wav"
    train = CremaD(root).records("train")
    assert len({record.speaker for record in train}) == 2


def test_cremad_leaves_out_broken_and_odd_clips(touch: Touch) -> None:
    root = touch("AudioWAV/1076_MTI_SAD_XX.wav", "AudioWAV/1064_TIE_SAD_XX.wav", "AudioWAV/talk.wav")
    records, problems = CremaD(root).scan()
    assert not records
    assert [problem.reason.split(";")[0] for problem in problems] == [
        "is known to be broken",
        "is known to be broken",
        "is not named ACTOR_SENTENCE_EMOTION_LEVEL",
    ]
