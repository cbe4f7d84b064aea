"""Each layout of labelled pictures, made small here, gives the pictures and labels that it holds."""

from __future__ import annotations

import csv
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Vision
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import UsageError
from emorec_rt.faces.box import Box
from emorec_train.data.datasets.record import DatasetError, Problem
from emorec_train.data.pictures.decoding import Framing
from emorec_train.data.pictures.opening import open_pictures, picture_request
from emorec_train.data.pictures.packed import FERPLUS_ORDER
from emorec_train.data.pictures.published import FERPLUS, ferplus_votes, read_affectnet, read_rafdb
from emorec_train.data.pictures.types import PictureSet, as_grey, as_rgb

SPEC = Vision(crop_size=24, margin=0.0, mean=(0.5,) * 3, std=(0.25,) * 3, embedding_dim=8)


def picture(value: int, side: int = 32, *, colour: bool = False) -> NDArray[np.uint8]:
    """A flat picture whose value can be told again."""
    flat = np.full((side, side, 3), value, np.uint8)
    if colour:
        flat[..., 0] = 255 - value  # blue, in OpenCV's order
    return flat if colour else flat[..., 0]


def write(path: Path, value: int, **keywords: bool) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), picture(value, **keywords))
    return path


def opened(request: str) -> PictureSet:
    return open_pictures(picture_request(request), SPEC, EXPRESSIONS)


def labels(pictures: PictureSet) -> tuple[list[str], list[str]]:
    named = [[EXPRESSIONS[label] for label in part.labels] for part in (pictures.train, pictures.validation)]
    return named[0], named[1]


def test_folders_with_splits(tmp_path: Path) -> None:
    write(tmp_path / "train/happy/a.png", 10)
    write(tmp_path / "train/contempt/b.png", 20)
    write(tmp_path / "val/sad/c.png", 30)
    write(tmp_path / "test/angry/d.png", 40)
    write(tmp_path / "train/bored/e.png", 50)
    found = opened(f"folder:{tmp_path}")
    assert labels(found) == (["Other", "Happiness"], ["Sadness"])
    assert found.train.pixels.shape == (2, 24, 24)
    assert found.train.pixels[:, 0, 0].tolist() == [20, 10]
    assert found.validation.pixels[0, 0, 0] == 30


def test_folders_without_splits_are_split_the_same_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("one", "two"):
        for number in range(60):
            write(tmp_path / place / "happy" / f"{number}.png", number)
    one, two = opened(f"folder:{tmp_path / 'one'}"), opened(f"folder:{tmp_path / 'two'}")
    assert 0 < len(one.validation) < 20
    np.testing.assert_array_equal(one.validation.pixels, two.validation.pixels)


def test_colour_stays_and_grey_joins_it(tmp_path: Path) -> None:
    write(tmp_path / "train/happy/a.png", 10, colour=True)
    write(tmp_path / "train/sad/b.png", 20)
    found = opened(f"folder:{tmp_path}")
    assert found.train.pixels[:, 0, 0].tolist() == [[10, 10, 245], [20, 20, 20]]


def test_csv_takes_labels_and_votes(tmp_path: Path) -> None:
    for name in "abc":
        write(tmp_path / f"{name}.png", ord(name))
    rows = [
        {"path": "a.png", "label": "joy", "split": "train"},
        {"path": "b.png", "Anger": "3", "Neutral": "1", "split": "train"},
        {"path": "c.png", "label": "fear", "split": "validation"},
        {"path": "none.png", "label": "fear", "split": "train"},
        {"path": "a.png", "split": "train"},
    ]
    with (tmp_path / "list.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["path", "label", "split", "Anger", "Neutral"])
        writer.writeheader()
        writer.writerows(rows)
    found = opened(f"csv:{tmp_path / 'list.csv'}")
    assert labels(found) == (["Happiness", "Anger"], ["Fear"])
    assert found.train.targets[1].tolist() == [0.25, 0.75, 0, 0, 0, 0, 0, 0]


def test_affectnet_folders(tmp_path: Path) -> None:
    for name, split, number in (("1", "train_set", "1"), ("2", "val_set", "7"), ("3", "train_set", "9")):
        write(tmp_path / split / "images" / f"{name}.jpg", 90)
        (tmp_path / split / "annotations").mkdir(exist_ok=True)
        np.save(tmp_path / split / "annotations" / f"{name}_exp.npy", np.array(number))
    assert labels(opened(f"affectnet:{tmp_path}")) == (["Happiness"], ["Other"])


def test_affectnet_lists_have_face_boxes(tmp_path: Path) -> None:
    write(tmp_path / "7/x.jpg", 90)
    header = "subDirectory_filePath,face_x,face_y,face_width,face_height,facial_landmarks,expression\n"
    (tmp_path / "training.csv").write_text(f"{header}7/x.jpg,4,5,20,22,1;2,6\n7/x.jpg,4,5,20,22,1;2,10\n")
    (record,) = read_affectnet(tmp_path, [])
    assert record.box == Box(4, 5, 20, 22)
    assert EXPRESSIONS[int(record.votes.argmax())] == "Anger"


def test_rafdb(tmp_path: Path) -> None:
    base = tmp_path / "basic"
    (base / "EmoLabel").mkdir(parents=True)
    (base / "EmoLabel" / "list_patition_label.txt").write_text("train_1.jpg 4\ntest_1.jpg 7\ntrain_2.jpg 9\n")
    for name in ("train_1", "test_1"):
        write(base / "Image" / "aligned" / f"{name}_aligned.jpg", 60)
    problems: list[Problem] = []
    assert len(list(read_rafdb(tmp_path, problems))) == 2
    assert "train_2.jpg 9" in str(problems[0])
    assert labels(opened(f"rafdb:{tmp_path}")) == (["Happiness"], ["Neutral"])


def test_ferplus_files(tmp_path: Path) -> None:
    tags = {"neutral": 1, "happiness": 6, "surprise": 3}
    with (tmp_path / "fer2013new.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["Usage", "Image name", *FERPLUS], restval=0)
        writer.writeheader()
        writer.writerows([tags, {"NF": 10}, {"fear": 10}, {"anger": 10}])
    pixels = " ".join(["77"] * 48 * 48)
    usages = ("Training", "Training", "PublicTest", "PrivateTest")
    lines = [f"0,{pixels},{usage}" for usage in usages]
    (tmp_path / "fer2013.csv").write_text("\n".join(["emotion,pixels,Usage", *lines]))
    found = opened(f"ferplus:{tmp_path}")
    assert labels(found) == (["Happiness"], ["Fear"])
    assert found.train.targets[0, EXPRESSIONS.index("Happiness")] == pytest.approx(6 / 9)
    assert (found.train.pixels == 77).all()


def test_votes_of_one_tagger_are_outliers_unless_all_are() -> None:
    counts = np.zeros(len(FERPLUS), np.float32)
    counts[[0, 1]] = 1, 1
    both = ferplus_votes(counts)
    assert both is not None
    assert both.sum() == 2
    counts[7:9] = 3, 2
    other = ferplus_votes(counts)
    assert other is not None
    assert other[EXPRESSIONS.index("Other")] == other.sum() == 5
    assert ferplus_votes(np.eye(len(FERPLUS), dtype=np.float32)[-1]) is None


def packed(path: Path, **changes: object) -> Path:
    """Three grey pictures; the last one is for validation."""
    encoded = [cv2.imencode(".png", picture(value))[1].ravel() for value in (10, 20, 30)]
    arrays = {
        "png": np.concatenate(encoded),
        "offset": np.cumsum([0, *map(len, encoded)]),
        "label": np.array([4, 0, 2], np.uint8),
        "split": np.array([0, 0, 1], np.uint8),
    } | changes
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_packed_pictures(tmp_path: Path) -> None:
    found = opened(f"npz,weight=0.3:{packed(tmp_path / 'a.npz')}")
    assert labels(found) == (["Happiness", "Neutral"], ["Disgust"])
    assert found.weight == 0.3
    assert found.train.pixels[:, 3, 3].tolist() == [10, 20]


def test_packed_votes_teach_and_labels_score(tmp_path: Path) -> None:
    votes = np.zeros((3, 10), np.uint8)
    votes[:, FERPLUS_ORDER[FERPLUS.index("sadness")]] = 6
    votes[:, FERPLUS_ORDER[FERPLUS.index("surprise")]] = 4
    found = opened(f"npz:{packed(tmp_path / 'a.npz', votes=votes)}")
    assert labels(found) == (["Sadness", "Sadness"], ["Disgust"])
    np.testing.assert_allclose(found.train.targets[0, 5:7], [0.6, 0.4])


def test_chosen_labels_alone(tmp_path: Path) -> None:
    found = opened(f"npz,labels=Happiness+Disgust:{packed(tmp_path / 'a.npz')}")
    assert labels(found) == (["Happiness"], ["Disgust"])


@pytest.mark.parametrize("name", ["affectnet", "rafdb", "ferplus", "folder", "csv", "npz"])
def test_foreign_data_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError) as caught:
        opened(f"{name}:{tmp_path / 'nowhere'}")
    assert "\n" not in str(caught.value)


def test_damaged_and_incomplete_npz(tmp_path: Path) -> None:
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 not a zip")
    with pytest.raises(DatasetError, match=r"can't be read as an \.npz"):
        opened(f"npz:{tmp_path / 'bad.npz'}")
    with pytest.raises(DatasetError, match="lacks the array png or jpeg"):
        opened(f"npz:{packed(tmp_path / 'no.npz', png=None)}")


def test_a_damaged_picture_is_left_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path / "train/happy/a.png", 10)
    (tmp_path / "train/happy/b.png").write_bytes(b"no picture")
    assert len(opened(f"folder:{tmp_path}").train) == 1
    assert "b.png: can't be read as a picture; left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        "npz",
        "npz:",
        "jpg:/a",
        "npz,weight=x:/a",
        "npz,weight=0:/a",
        "npz,find=maybe:/a",
        "npz,size=3:/a",
        "npz,labels=Joy:/a",
    ],
)
def test_a_wrong_request_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--data"):
        picture_request(text)


def test_a_larger_margin_is_cut_off() -> None:
    side = 112
    pixels = np.zeros((side, side, 3), np.uint8)
    pixels[16:-16, 16:-16] = 200  # the face, in pictures with a margin of 0.2
    crop = Framing(SPEC, 0.2).crop(pixels, None)
    assert crop is not None
    assert (crop == 200).all()


def test_a_known_box_is_framed_as_the_runtime_does() -> None:
    pixels = np.zeros((60, 90, 3), np.uint8)
    pixels[10:40, 30:60] = 150
    crop = Framing(SPEC).crop(pixels, Box(30, 10, 30, 30))
    assert crop is not None
    assert (crop == 150).all()


def test_luma() -> None:
    red = np.zeros((1, 2, 2, 3), np.uint8)
    red[..., 0] = 200
    assert (as_grey(red) == round(0.299 * 200)).all()
    grey = np.full((1, 2, 2), 9, np.uint8)
    assert as_grey(grey) is grey
    assert as_rgb(grey).shape == (1, 2, 2, 3)
