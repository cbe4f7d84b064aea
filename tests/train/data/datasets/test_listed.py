"""MELD, folders of classes, and csv manifests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from emorec_train.data.datasets import ClassFolders, DatasetError, ManifestCsv, Meld

Touch = Callable[..., Path]

MELD_HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,EndTime\n"
)
MELD_EMOTIONS = ("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear")
MELD_FOLDERS = {
    "train": "train/train_splits",
    "dev": "dev/dev_splits_complete",
    "test": "test/output_repeated_splits_test",
}


def meld_row(number: int, emotion: str, speaker: str = "Ross") -> str:
    said = "Oh, I\N{RIGHT SINGLE QUOTATION MARK}m fine."
    times = '"00:16:16,059","00:16:21,731"'
    return f'{number + 1},"{said}",{speaker},{emotion},neutral,0,{number},8,21,{times}\n'


@pytest.fixture
def meld(touch: Touch) -> Path:
    root = touch(*(f"{folder}/dia0_utt{n}.mp4" for folder in MELD_FOLDERS.values() for n in range(7)))
    for split in MELD_FOLDERS:
        rows = [meld_row(number, emotion) for number, emotion in enumerate(MELD_EMOTIONS)]
        (root / f"{split}_sent_emo.csv").write_text(MELD_HEADER + "".join(rows), encoding="cp1252")
    return root


def test_meld_splits_keep_their_own_videos(meld: Path) -> None:
    for split, ours in (("train", "train"), ("dev", "validation"), ("test", "test")):
        records = Meld(meld).records(ours)  # type: ignore[arg-type]
        assert [record.clip_id for record in records] == [f"{split}-dia0_utt{n}" for n in range(7)]
        assert records[1].label == "Happiness"
        assert records[1].video == records[1].sound == meld / MELD_FOLDERS[split] / "dia0_utt1.mp4"
        assert records[1].speaker == "meld-Ross"
    assert not Meld(meld).scan().problems


def test_meld_problems_name_file_and_line(meld: Path, touch: Touch) -> None:
    table = meld / "train_sent_emo.csv"
    with table.open("a", encoding="utf-8") as file:
        file.write(meld_row(7, "joy") + meld_row(3, "bored") + meld_row(2, "surprise"))
    touch("test/output_repeated_splits_test/final_videos_testdia1_utt0.mp4")
    records, problems = Meld(meld).scan()
    assert len(records) == 21
    assert [str(problem).removeprefix(str(meld) + "/") for problem in problems] == [
        "test/output_repeated_splits_test/final_videos_testdia1_utt0.mp4: is not named diaX_uttY; left out",
        "train_sent_emo.csv: line 9: there is no video dia0_utt7 in a train folder; left out",
        "train_sent_emo.csv: line 10: 'bored' is not an expression; there are Neutral, Anger, Disgust, Fear, "
        "Happiness, Sadness, Surprise, Other; left out",
        "train_sent_emo.csv: line 11: train-dia0_utt2 is here twice; left out",
    ]


def test_meld_without_tables_is_an_error(touch: Touch) -> None:
    with pytest.raises(DatasetError, match=r"no train_sent_emo\.csv"):
        Meld(touch("train_splits/dia0_utt0.mp4")).scan()


def test_meld_table_without_a_column_leaves_the_others(meld: Path) -> None:
    (meld / "dev_sent_emo.csv").write_text("Utterance,Emotion\nhi,joy\n", encoding="utf-8")
    records, problems = Meld(meld).scan()
    assert len(records) == 14
    assert "has no column Speaker, Dialogue_ID, Utterance_ID" in str(problems[0])
    with pytest.raises(DatasetError, match=r"no MELD clip in the validation split; found train 7"):
        Meld(meld).records("validation")


def test_class_folders(touch: Touch) -> None:
    root = touch(
        *(f"{name}/{who}_{n}.mp4" for name in ("happy", "Sad") for who in "abcd" for n in (1, 2)),
        "happy/a_1.wav",
        "Sad/deep/d_9.wav",
        "boredom/a_1.mp4",
        "notes.txt",
    )
    data_set = ClassFolders(root, speaker_pattern=r"(?P<speaker>[a-d])_\d$")
    records, problems = data_set.scan()
    assert data_set.labels == ("Happiness", "Sadness")
    assert len(records) == 17
    assert [str(p) for p in problems] == [
        f"{root / 'boredom'}: 'boredom' is not an expression; there are Neutral, Anger, Disgust, Fear, "
        "Happiness, "
        "Sadness, Surprise, Other; left out"
    ]
    assert {record.speaker for record in records} == set("abcd")
    happy = next(record for record in records if record.clip_id == "happy/a_1")
    assert happy.video == happy.sound == root / "happy/a_1.mp4"
    assert next(r for r in records if r.clip_id == "Sad/deep/d_9").video is None
    assert len(ClassFolders(root, aliases={"boredom": "Other"}).scan().records) == 18
    assert len({record.speaker for record in data_set.records("train")}) == 2


@pytest.mark.parametrize("pattern", ["^[a-z]+(?=-)", "^(?:(?P<speaker>[a-z]+)-)?", "^[a-z]*(?=-)|"])
def test_a_clip_whose_speaker_the_pattern_misses_is_told(pattern: str, touch: Touch) -> None:
    root = touch("happy/anna-1.mp4", "sad/anna-2.mp4", "happy/07.mp4", "sad/08.mp4")
    records, problems = ClassFolders(root, speaker_pattern=pattern).scan()
    assert [record.speaker for record in records] == [None, "anna", None, "anna"]
    why = "the speaker pattern finds nobody here; it counts as a speaker of its own"
    assert [str(problem) for problem in problems] == [
        f"{root / 'happy/07'}: {why}",
        f"{root / 'sad/08'}: {why}",
    ]
    assert not ClassFolders(root).scan().problems


def test_class_folders_with_splits(touch: Touch) -> None:
    root = touch("train/happy/a.mp4", "train/fear/b.mp4", "val/happy/a.mp4", "test/fear/c.mp4", "raw/x.mp4")
    data_set = ClassFolders(root)
    assert [record.clip_id for record in data_set.records("train")] == ["train/fear/b", "train/happy/a"]
    assert [record.clip_id for record in data_set.records("validation")] == ["val/happy/a"]


def test_an_empty_class_folder_is_an_error(touch: Touch) -> None:
    root = touch("train/happy/a.mp4", "train/fear/readme.txt", "val/happy/b.mp4")
    with pytest.raises(DatasetError, match="no sample of Fear among the 1 train clips"):
        ClassFolders(root).records("train")


def test_a_wrong_speaker_pattern_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="speaker pattern '\\('"):
        ClassFolders(tmp_path, speaker_pattern="(")


def manifest(root: Path, text: str) -> ManifestCsv:
    path = root / "clips.csv"
    path.write_text(text, encoding="utf-8-sig")
    return ManifestCsv(path, aliases={"bored": None})


def test_manifest(touch: Touch) -> None:
    root = touch("a.mp4", "sub/b.wav", "c.mp4", "c.flac")
    data_set = manifest(
        root,
        "label,path,split,speaker,sound,id,note\r\n"
        "happy,a.mp4,train,anna,,,x\r\n"
        "NEUTRAL,sub/b.wav,dev,ben,,b,\r\n"
        "sad,c.mp4,test,cleo,c.flac,,\r\n"
        "bored,c.mp4,test,cleo,,,\r\n",
    )
    records, problems = data_set.scan()
    assert not problems
    assert data_set.labels == ("Neutral", "Happiness", "Sadness")
    happy, neutral, sad = records
    assert (happy.clip_id, happy.split, happy.speaker) == ("a.mp4", "train", "anna")
    assert (neutral.clip_id, neutral.split, neutral.video) == ("b", "validation", None)
    assert (sad.video, sad.sound) == (root / "c.mp4", root / "c.flac")


def test_manifest_problems_name_the_line(touch: Touch) -> None:
    root = touch("a.mp4", "b.mp4")
    text = (
        "path,label,split\n"
        "a.mp4,happy,train\nmissing.mp4,happy,train\na.mp4,glad,train\nb.mp4,sad,holdout\na.mp4,sad,train\n"
        "b.mp4,sad,\n,sad,train\nb.mp4\n"
    )
    records, problems = manifest(root, text).scan()
    assert [record.clip_id for record in records] == ["a.mp4"]
    heads = [problem.reason for problem in problems]
    assert heads[0] == "line 3: there is no file missing.mp4; left out"
    assert heads[1].startswith("line 4: 'glad' is not an expression")
    assert heads[2].startswith("line 5: 'holdout' is not a split")
    assert heads[3] == "line 6: a.mp4 is here twice; left out"
    assert heads[4] == "line 8: there is no file (the path is empty); left out"
    assert heads[5].startswith("line 9: '' is not an expression")
    assert heads[6] == "b.mp4 has no split, others have; left out"


def test_manifest_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="has no column label"):
        manifest(tmp_path, "path,emotion\na.mp4,happy\n").scan()
    with pytest.raises(DatasetError, match="can't be read"):
        ManifestCsv(tmp_path / "none.csv").scan()


def test_manifest_without_splits_is_dealt_by_speaker(touch: Touch) -> None:
    names = [f"{who}{n}.mp4" for who in "abcdef" for n in range(2)]
    root = touch(*names)
    rows = [f"{name},{'happy' if '0' in name else 'sad'},{name[0]}\n" for name in names]
    data_set = manifest(root, "path,label,speaker\n" + "".join(rows))
    splits = [{r.speaker for r in data_set.records(s)} for s in ("train", "validation", "test")]
    assert sum(map(len, splits)) == 6
    assert set.union(*splits) == set("abcdef")
