from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emorec_rt.constants import EXPRESSIONS
from emorec_train.data.datasets import AffWild2, DatasetError, open_data_set
from emorec_train.data.datasets.affwild2_files import AnnotationError, parse_name, read_annotation

Touch = Callable[..., Path]
LABEL_HEADER = ",".join(EXPRESSIONS)
ANNOTATIONS = "8th_ABAW_Annotations/EXPR_Recognition_Challenge"


def annotate(
    root: Path, name: str, labels: str, split: str = "Train_Set", header: str = LABEL_HEADER
) -> Path:
    path = root / ANNOTATIONS / split / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *labels.split()]) + "\n", encoding="utf-8")
    return path


def reasons(data_set: AffWild2) -> list[str]:
    return [str(problem).removeprefix(f"{data_set.root}/") for problem in data_set.scan().problems]


@pytest.fixture
def tree(touch: Touch) -> Path:
    """Two persons in one video, a single one with a gap, and a part of a longer recording."""
    root = touch(
        "batch1/10-60-1280x720.mp4",
        "batch2/166.avi",
        "newvids/122-60-1920x1080-4.mp4",
        *(f"cropped_aligned/10-60-1280x720_left/0000{n}.jpg" for n in (1, 2, 3)),
        *(f"cropped_aligned/10-60-1280x720_right/0000{n}.jpg" for n in (2, 3)),
        *(f"cropped_aligned/166/0000{n}.jpg" for n in (1, 4)),
        "cropped_aligned/166/.DS_Store",
        *(f"cropped_aligned_new_50_vids/122-60-1920x1080-4/0000{n}.jpg" for n in (1, 2)),
        "cropped/166/00001.jpg",
    )
    annotate(root, "10-60-1280x720_left", "0 1 2")
    annotate(root, "10-60-1280x720_right", "3 4 5")
    annotate(root, "166", "6 -1 7 7 7")
    annotate(root, "122-60-1920x1080-4", "0 0", "Validation_Set")
    return root


def test_sequences_persons_and_gaps(tree: Path) -> None:
    data_set = AffWild2(tree)
    right, left, single = (data_set.records("train")[index] for index in (1, 0, 2))
    assert not data_set.scan().problems
    assert (left.person, right.person, single.person) == ("left", "right", "")
    assert left.video == right.video == left.sound == tree / "batch1/10-60-1280x720.mp4"
    assert left.speaker == right.speaker
    assert right.frame_labels is not None
    assert right.frame_labels.tolist() == [3, 4, 5]
    assert right.frames is not None
    assert right.frames.numbers.tolist() == [2, 3]
    assert right.frames.found(3).tolist() == [False, True, True]
    assert right.frames.file(2) == tree / "cropped_aligned/10-60-1280x720_right/00002.jpg"
    assert single.frames is not None
    assert single.frames.numbers.tolist() == [1, 4]
    assert single.frame_labels is not None
    assert single.frame_labels.tolist() == [6, -1, 7, 7, 7]
    assert single.class_counts().tolist() == [0, 0, 0, 0, 0, 0, 1, 3]


def test_later_images_and_the_other_crops(tree: Path) -> None:
    part = AffWild2(tree).records("validation")[0]
    assert part.frames is not None
    assert part.frames.path.parent.name == "cropped_aligned_new_50_vids"
    assert part.speaker == "aff-wild2-122-60-1920x1080"
    data_set = AffWild2(tree, images="cropped")
    single = next(record for record in data_set.scan().records if record.clip_id == "166")
    assert single.frames is not None
    assert single.frames.path == tree / "cropped/166"
    assert reasons(data_set) == [
        f"{ANNOTATIONS}/Train_Set/10-60-1280x720_{side}.txt: 10-60-1280x720_{side} has no folder of images, "
        "the video shows two persons; left out"
        for side in ("left", "right")
    ]


def test_crops_that_are_not_aligned_are_taken_where_there_are_no_others(touch: Touch) -> None:
    root = touch("cropped/166/00001.jpg", "batch2/166.avi")
    annotate(root, "166", "6 7")
    data_set = AffWild2(root)
    (record,) = data_set.scan().records
    assert record.frames is not None
    assert record.frames.path == root / "cropped/166"
    assert reasons(data_set) == [f"{root}: no cropped_aligned below it; the images of cropped are used"]


def test_sequences_by_name(tree: Path) -> None:
    records, problems = AffWild2(tree).sequences({"166": 5, "10-60-1280x720_right": 3, "400": 2})
    assert [(r.clip_id, r.frame_count, r.frame_labels) for r in records] == [
        ("166", 5, None),
        ("10-60-1280x720_right", 3, None),
    ]
    assert [problem.reason for problem in problems] == ["400 has no folder of images, nor a video; left out"]


def test_labels_go_by_the_names_in_the_header(tmp_path: Path) -> None:
    path = annotate(tmp_path, "1", "0 1 7 -1", header=",".join(reversed(EXPRESSIONS)))
    assert read_annotation(path).tolist() == [7, 6, 0, -1]


@given(st.lists(st.integers(-1, 7), min_size=1, max_size=50), st.sampled_from(["\n", "\r\n"]), st.booleans())
def test_any_annotation_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, labels: list[int], end: str, last_end: bool
) -> None:
    path = tmp_path_factory.mktemp("annotation") / "1.txt"
    text = end.join([LABEL_HEADER, *map(str, labels)]) + (end if last_end else "")
    path.write_bytes(text.encode())
    assert read_annotation(path).tolist() == labels


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([LABEL_HEADER, "0", "8", "9"], r"line 3: label 8 is not -1 to 7 \(2 such lines\)"),
        ([LABEL_HEADER, "-2"], "line 2: label -2"),
        ([LABEL_HEADER, "0", "", "1"], "line 3 is not a label: ''"),
        ([LABEL_HEADER, "0", "1.5"], "line 3 is not a label: '1.5'"),
        ([LABEL_HEADER], "has no labels"),
        (["0", "1"], "line 1 is not a header of expressions"),
        (["Neutral,Neutral", "0"], "line 1 is not a header of expressions"),
        ([], "line 1 is not a header of expressions"),
    ],
)
def test_annotations_that_are_refused(tmp_path: Path, lines: list[str], reason: str) -> None:
    path = tmp_path / "1.txt"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(AnnotationError, match=reason):
        read_annotation(path)


def test_a_bad_file_leaves_the_others(tree: Path) -> None:
    annotate(tree, "10-60-1280x720_left", "0 9")
    data_set = AffWild2(tree)
    assert [record.clip_id for record in data_set.records("validation")] == ["122-60-1920x1080-4"]
    assert reasons(data_set) == [
        f"{ANNOTATIONS}/Train_Set/10-60-1280x720_left.txt: line 3: label 9 is not -1 to 7 (1 such lines); "
        "left out"
    ]


def test_missing_lines_are_named_and_have_no_label(tree: Path, touch: Touch) -> None:
    touch("cropped_aligned/166/00008.jpg", "cropped_aligned/166/1.jpg", "cropped_aligned/166/00000.jpg")
    data_set = AffWild2(tree)
    single = data_set.records("train")[2]
    assert single.frame_labels is not None
    assert single.frame_labels.tolist() == [6, -1, 7, 7, 7, -1, -1, -1]
    assert reasons(data_set) == [
        "cropped_aligned/166: 2 files are not like 00001.jpg, the first: 00000.jpg",
        f"{ANNOTATIONS}/Train_Set/166.txt: has 3 missing lines: 5 labels for 8 frames in "
        f"{tree}/cropped_aligned/166; frames without a line are ignored",
    ]


def test_lines_are_compared_with_known_frame_counts(tree: Path) -> None:
    counts = tree / "counts.txt"
    counts.write_text("166 4\n10-60-1280x720 3\n122-60-1920x1080-4 5\n", encoding="utf-8")
    assert reasons(AffWild2(tree, counts=counts)) == [
        f"{ANNOTATIONS}/Validation_Set/122-60-1920x1080-4.txt: has 3 missing lines: 2 labels for 5 frames; "
        "frames go by their number",
        f"{ANNOTATIONS}/Train_Set/166.txt: has 1 extra lines: 5 labels for 4 frames; "
        "frames go by their number",
    ]


def test_without_images_a_single_person_is_seen_in_the_video(tree: Path) -> None:
    annotate(tree, "10-60-1280x720", "0 0")
    annotate(tree, "400", "0 0")
    (tree / "batch1/400.mp4").touch()
    records, problems = AffWild2(tree).scan()
    seen = next(record for record in records if record.clip_id == "400")
    assert seen.frames is None
    assert seen.video == tree / "batch1/400.mp4"
    lines = [problem.reason for problem in problems]
    assert lines == [
        "10-60-1280x720 has no folder of images, the video shows two persons; left out",
        "400 has no folder of images; the video itself is used",
    ]


def test_missing_videos_are_named(tree: Path) -> None:
    (tree / "batch2/166.avi").unlink()
    data_set = AffWild2(tree)
    assert reasons(data_set) == [
        f"{ANNOTATIONS}/Train_Set/166.txt: there is no video 166: no sound, and no time of frames"
    ]
    for video in tree.rglob("*.mp4"):
        video.unlink()
    assert reasons(AffWild2(tree)) == [f"{tree}: no video below it: there is no sound, and no time of frames"]


def test_an_own_sound_file_stands_in_for_a_video(tree: Path, touch: Touch) -> None:
    (tree / "batch2/166.avi").unlink()
    touch("wav/166.wav")
    single = AffWild2(tree).scan().records[3]
    assert (single.clip_id, single.video, single.sound) == ("166", None, tree / "wav/166.wav")


def test_a_second_annotation_and_a_second_video_are_named(tree: Path, touch: Touch) -> None:
    annotate(tree, "166", "0 0", "Validation_Set")
    touch("newvids/166.mp4")
    lines = reasons(AffWild2(tree))
    assert lines[0].startswith(f"{ANNOTATIONS}/Validation_Set/166.txt: is annotated twice")
    assert lines[1].startswith("newvids/166.mp4: is here twice")


def test_options_on_the_command_line(tree: Path) -> None:
    _, data_set = open_data_set(f"affwild2,images=cropped,counts=/lists/frames.txt:{tree}")
    assert data_set == AffWild2(tree, images="cropped", counts=Path("/lists/frames.txt"))


def test_a_nested_image_folder(touch: Touch) -> None:
    root = touch("cropped_aligned/cropped_aligned/7/00001.jpg", "batch1/7.mp4")
    annotate(root, "7", "0")
    (record,) = AffWild2(root).scan().records
    assert record.frames is not None
    assert record.frames.path == root / "cropped_aligned/cropped_aligned/7"


def test_empty_splits_and_absent_classes(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(
        DatasetError, match=r"no Aff-Wild2 clip in the test split; found train 3, validation 1"
    ):
        AffWild2(tree).records("test")
    annotate(tree, "166", "0 0")
    with pytest.raises(DatasetError, match=r"no sample of Surprise, Other among the 3 train clips"):
        AffWild2(tree).records("train")


PERSON = st.sampled_from(["", "left", "right"])
RECORDING = st.one_of(
    st.integers(1, 999).map(str),
    st.integers(1, 99).map("video{}".format),
    st.tuples(st.integers(1, 999), st.integers(14, 60), st.integers(100, 3840), st.integers(100, 2160)).map(
        lambda t: f"{t[0]}-{t[1]}-{t[2]}x{t[3]}"
    ),
)
PART = st.one_of(st.just(""), st.integers(1, 9).map("_{}".format), st.integers(1, 9).map("-{}".format))


@given(RECORDING, PART, PERSON)
def test_every_name_is_taken_apart(recording: str, part: str, person: str) -> None:
    name = parse_name(recording + part + (f"_{person}" if person else ""))
    assert (name.recording, name.video, name.person) == (recording, recording + part, person)
    assert name.fps_hint == (int(recording.split("-")[1]) if "-" in recording else None)


@given(st.text(max_size=30), PERSON)
def test_the_video_is_the_name_without_the_person(text: str, person: str) -> None:
    name = parse_name(f"{text}_{person}" if person else text)
    assert name.person in ("", "left", "right")
    if person:
        assert (name.video, name.person) == (text, person)


def test_real_names(media_root: Path) -> None:
    listed = media_root / "affwild_format/savchenko/abaw6_frames_per_video.txt"
    names = [line.split()[0] for line in listed.read_text(encoding="utf-8").splitlines()]
    assert len(names) == 548
    for name in names:
        parsed = parse_name(name)
        assert (parsed.video, parsed.person) == (name, "")
        assert parsed.recording in (name, name.rpartition("_")[0], name.rpartition("-")[0])
        assert (parsed.fps_hint or 25) in range(14, 61)
    assert parse_name("122-60-1920x1080-4").recording == parse_name("122-60-1920x1080-1").recording


def test_real_gaps(media_root: Path, touch: Touch) -> None:
    name = "10-60-1280x720_right"
    source = media_root / "affwild_format/dresvyanskiy_open_mouth" / f"{name}.csv"
    with source.open(newline="", encoding="utf-8") as file:
        numbers = [row["frame"] for row in csv.DictReader(file)]
    root = touch(*(f"cropped_aligned/{name}/{number}.jpg" for number in numbers), "batch1/10-60-1280x720.mp4")
    annotate(root, name, "4 " * 2102)
    (record,) = AffWild2(root).scan().records
    assert not AffWild2(root).scan().problems
    assert record.frames is not None
    assert record.frame_labels is not None
    assert len(record.frame_labels) == 2102
    found = record.frames.found(2102)
    assert found.sum() == len(numbers)
    assert [f"{number:05d}" for number in np.flatnonzero(found) + 1] == numbers
    assert record.video == record.sound == root / "batch1/10-60-1280x720.mp4"
