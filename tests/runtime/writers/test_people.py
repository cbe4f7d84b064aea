"""Results where everyone is followed: a column, a file for each person, all boxes on the video."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from emorec_rt.errors import OutputError
from emorec_rt.faces import Box
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, STDOUT, OutputOptions, Target

LABELS = ("Neutral", "Happiness")


def row(index: int, person: int | None, left: float = 0.0) -> Prediction:
    scores = np.array([0.25, 0.75] if person == 2 else [0.75, 0.25], np.float32)
    label = LABELS[int(scores.argmax())]
    box = None if person is None else Box(left, 0.0, 50.0, 50.0)
    return Prediction(index, index / 25, label, scores, person is not None, True, box, LABELS, person)


def write(path: Path, name: str, rows: list[Prediction]) -> None:
    target = Target(Path("talk.mp4"), path, LABELS, OutputOptions(people=True))
    writer = FORMATS[name].make(target)
    for prediction in rows:
        writer.write(prediction)
    writer.commit()


TWO = [row(k, person, 300.0 if person == 1 else 10.0) for k in range(30) for person in (1, 2)]


def test_tables_have_a_column_and_a_key(tmp_path: Path) -> None:
    write(tmp_path / "talk.csv", "csv", [*TWO, row(30, None)])
    with (tmp_path / "talk.csv").open() as file:
        people = [line["person"] for line in csv.DictReader(file)]
    assert people == ["1", "2"] * 30 + [""]
    write(tmp_path / "talk.jsonl", "jsonl", [*TWO, row(30, None)])
    lines = [json.loads(line) for line in (tmp_path / "talk.jsonl").read_text().splitlines()]
    assert [line["person"] for line in lines] == [1, 2] * 30 + [None]


def test_txt_of_two_people_is_named_left_and_right(tmp_path: Path) -> None:
    write(tmp_path / "talk.txt", "txt", TWO)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["talk_left.txt", "talk_right.txt"]
    assert (tmp_path / "talk_left.txt").read_text().splitlines()[1] == "talk_left/00001.jpg,1"  # the second
    assert (tmp_path / "talk_right.txt").read_text().splitlines()[30] == "talk_right/00030.jpg,0"


@pytest.mark.parametrize(
    ("people", "names"),
    [((), ["talk.txt"]), ((1,), ["talk.txt"]), ((1, 2, 3), ["talk_1.txt", "talk_2.txt", "talk_3.txt"])],
)
def test_txt_of_any_other_number(people: tuple[int, ...], names: list[str], tmp_path: Path) -> None:
    write(tmp_path / "talk.txt", "txt", [row(0, person) for person in people or (None,)])
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize(
    ("name", "values"), [("va.txt", "0.1250,-0.0310"), ("au.txt", "1")], ids=["valence and arousal", "units"]
)
def test_the_other_tracks_name_people_likewise(name: str, values: str, tmp_path: Path) -> None:
    told = {"valence": 0.125, "arousal": -0.031, "AU12": 0.75}
    people = OutputOptions(people=True)
    target = Target(Path("a, b.mp4"), tmp_path / f"talk.{name}", LABELS, people, measures=tuple(told))
    writer = FORMATS[name].make(target)
    for prediction in TWO:
        writer.write(replace(prediction, measures=told))
    writer.commit()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"talk_left.{name}", f"talk_right.{name}"]
    assert (tmp_path / f"talk_left.{name}").read_text().splitlines()[1] == f"a_ b_left/00001.jpg,{values}"


@pytest.mark.parametrize("name", ["txt", "va.txt"])
def test_rows_of_people_do_not_go_to_standard_output(name: str) -> None:
    target = Target(Path("talk.mp4"), STDOUT, LABELS, OutputOptions(people=True), measures=("valence",))
    with pytest.raises(OutputError, match=f"{name} has a file for each person"):
        FORMATS[name].make(target)


@pytest.mark.parametrize("name", ["png", "svg"])
def test_a_picture_for_each_person(name: str, tmp_path: Path) -> None:
    write(tmp_path / f"talk.{name}", name, TWO)
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"talk_1.{name}", f"talk_2.{name}"]
