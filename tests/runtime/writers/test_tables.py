"""Tables of rows and of segments, as data frames and coding tools read them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import emorec_rt
from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import OutputError, UsageError
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, OutputOptions, Target, format_of
from emorec_rt.writers.digest import Digest
from emorec_rt.writers.every import Every
from emorec_rt.writers.parquet import GROUP_ROWS
from emorec_rt.writers.segments import PeopleSegmenter, Segmenter

from .conftest import leftovers, prediction, target, write_all

NOTICE = "made for tests; <not> for people"


def labelled(labels: list[str], fps: float = 25.0, start: float = 0.0) -> list[Prediction]:
    return [
        replace(prediction(i, start + i / fps, label, 0.8), labels=EXPRESSIONS)
        for i, label in enumerate(labels)
    ]


def silent(row: Prediction) -> Prediction:
    return replace(row, face=False, sound=False, box=None)


def written(name: str, rows: list[Prediction], folder: Path, **options: float) -> Path:
    path = folder / f"talk.{name}"
    made = Target(Path("nowhere/talk.mp4"), path, EXPRESSIONS, OutputOptions(**options), NOTICE)
    write_all(FORMATS[name].make(made), rows)
    return path


TALK = labelled(["Neutral"] * 50 + ["Anger"] * 25 + ["Neutral"] * 25)
GAP = [*TALK[:30], *(silent(row) for row in TALK[30:60]), *TALK[60:]]


class TestPrediction:
    def test_scores_are_by_label(self) -> None:
        row = TALK[0]
        assert row.scores["Neutral"] == pytest.approx(0.8)
        assert list(row.scores) == list(EXPRESSIONS)
        assert row.to_dict()["box"] == [20.0, 10.0, 30.0, 40.0]
        json.dumps(row.to_dict())

    def test_nobody_seen_or_heard_is_no_emotion(self) -> None:
        assert silent(TALK[0]).to_dict()["label"] is None
        assert not silent(TALK[0]).known


class TestTable:
    def test_columns(self) -> None:
        columns = emorec_rt.table([TALK[0], silent(TALK[1])])
        assert columns["frame"].tolist() == [0, 1]
        assert columns["label"].tolist() == ["Neutral", ""]
        assert columns["Neutral"].dtype == np.float32
        assert np.isnan(columns["box_left"]).tolist() == [False, True]
        assert {len(column) for column in emorec_rt.table([]).values()} == {0}

    def test_pandas(self) -> None:
        pandas = pytest.importorskip("pandas")
        frame = pandas.DataFrame(emorec_rt.table(TALK))
        assert frame.shape == (100, 17)
        assert frame.label.value_counts()["Neutral"] == 75

    def test_polars(self) -> None:
        polars = pytest.importorskip("polars")
        frame = polars.DataFrame(emorec_rt.table(TALK))
        assert frame.filter(polars.col("label") == "Anger").height == 25

    def test_pyarrow(self) -> None:
        pyarrow = pytest.importorskip("pyarrow")
        made = pyarrow.table(emorec_rt.table(TALK))
        assert made.num_rows == 100
        assert made["label"][60].as_py() == "Anger"


class TestParquet:
    def test_what_was_written_is_read(self, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        rows = labelled(["Fear"] * (GROUP_ROWS + 10))
        rows[3] = silent(rows[3])
        read = parquet.read_table(written("parquet", rows, tmp_path))
        assert read.num_rows == len(rows)
        assert read["label"][:5].to_pylist() == ["Fear", "Fear", "Fear", None, "Fear"]
        assert read["box_left"][3].as_py() is None
        assert read["Fear"][0].as_py() == pytest.approx(0.8)
        assert read.schema.metadata[b"notice"].decode() == NOTICE
        assert leftovers(tmp_path) == []

    def test_no_rows_make_an_empty_table(self, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        read = parquet.read_table(written("parquet", [], tmp_path))
        assert (read.num_rows, read.num_columns) == (0, 17)

    def test_a_missing_library_is_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
        with pytest.raises(OutputError, match=r"pip install 'emorec\[parquet\]'"):
            FORMATS["parquet"].make(target(tmp_path / "a.parquet"))
        assert list(tmp_path.iterdir()) == []


class TestEvery:
    def test_a_row_a_second(self) -> None:
        every = Every(1.0)
        rows = [row for item in TALK for row in every.add(item)] + every.finish()
        assert [row.time_seconds for row in rows] == [0.0, 1.0, 2.0, 3.0]
        assert [row.index for row in rows] == [0, 25, 50, 75]
        assert [row.label for row in rows] == ["Neutral", "Neutral", "Anger", "Neutral"]
        assert rows[0].scores["Neutral"] == pytest.approx(0.8, abs=1e-6)

    def test_frames_that_know_nothing_do_not_count(self) -> None:
        every = Every(4.0)
        rows = [row for item in GAP for row in every.add(item)] + every.finish()
        assert rows[0].label == "Neutral"
        assert rows[0].scores["Anger"] > 0.1
        assert rows[0].face

    def test_text_formats(self, tmp_path: Path) -> None:
        path = written("csv", TALK, tmp_path, every_seconds=2.0)
        lines = path.read_text().splitlines()
        assert len(lines) == 3
        assert lines[2].startswith("50,2.000000,")

    @pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan")])
    def test_no_interval(self, seconds: float) -> None:
        with pytest.raises(UsageError, match="every_seconds"):
            OutputOptions(every_seconds=seconds)


class TestSegments:
    def test_time_without_anyone_belongs_to_no_segment(self) -> None:
        segmenter = Segmenter(EXPRESSIONS, 0.1)
        segments = [s for row in GAP for s in segmenter.add(row)] + segmenter.finish()
        assert [(s.start_seconds, s.end_seconds, s.label) for s in segments] == [
            (0.0, 1.2, "Neutral"),
            (2.4, 3.0, "Anger"),
            (3.0, 4.0, "Neutral"),
        ]

    def test_a_person_who_was_away_has_no_segment_there(self) -> None:
        rows = [replace(row, person=3) for row in TALK if not 0.5 < row.time_seconds < 1.5]
        segmenter = PeopleSegmenter(EXPRESSIONS, 0.1)
        segments = [s for row in rows for s in segmenter.add(row)] + segmenter.finish()
        assert [(s.person, round(s.start_seconds, 3), round(s.end_seconds, 3)) for s in segments[:2]] == [
            (3, 0.0, 0.52),
            (3, 1.52, 2.0),
        ]

    def test_segments_csv(self, tmp_path: Path) -> None:
        lines = written("segments.csv", TALK, tmp_path).read_text().splitlines()
        assert lines == [
            "start_seconds,end_seconds,person,label,mean_score",
            "0.000,2.000,,Neutral,0.8000",
            "2.000,3.000,,Anger,0.8000",
            "3.000,4.000,,Neutral,0.8000",
        ]

    def test_json(self, tmp_path: Path) -> None:
        record = json.loads(written("json", GAP, tmp_path).read_text())
        assert record["notice"] == NOTICE
        assert record["summary"]["unknown_rows"] == 30
        assert record["summary"]["shares"]["Neutral"] == pytest.approx(55 / 70, abs=1e-4)
        assert [item["label"] for item in record["segments"]] == ["Neutral", "Anger", "Neutral"]

    def test_boris_columns(self, tmp_path: Path) -> None:
        """As BORIS reads a spreadsheet: five columns by name, each state started and stopped."""
        pandas = pytest.importorskip("pandas")
        frame = pandas.read_csv(written("boris.csv", TALK, tmp_path))
        assert list(frame.columns) == ["time", "subject", "code", "modifier", "comment"]
        assert frame.time.tolist() == [0.0, 2.0, 2.0, 3.0, 3.0, 4.0]
        assert frame.code.tolist() == ["Neutral"] * 2 + ["Anger"] * 2 + ["Neutral"] * 2


class TestDigest:
    def test_shares_changes_and_coverage(self) -> None:
        digest = Digest(EXPRESSIONS)
        for row in GAP:
            digest.add(row)
        summary = digest.finish()
        assert summary.seconds == pytest.approx(4.0)
        assert summary.face == pytest.approx(0.7)
        assert summary.unknown == pytest.approx(0.3)
        assert summary.shares["Anger"] == pytest.approx(15 / 70)
        assert summary.changes_per_minute == pytest.approx(60 / 2.8)
        assert summary.line().startswith("Neutral 79%, Anger 21%; 21.4 changes a minute; face 70%")

    def test_no_rows(self) -> None:
        assert Digest(EXPRESSIONS).finish().line().startswith("no emotion told")


@pytest.mark.parametrize(
    ("name", "format_"),
    [
        ("a.csv", "csv"),
        ("a.segments.csv", "segments.csv"),
        ("a.boris.CSV", "boris.csv"),
        ("a.textgrid", "TextGrid"),
        ("a.EAF", "eaf"),
        ("segments.csv", "csv"),
    ],
)
def test_the_longest_suffix_counts(name: str, format_: str) -> None:
    assert format_of(Path(name), None) == format_


FLAGGED = [replace(row, interpolated=index % 3 > 0) for index, row in enumerate(TALK[:9])]


class TestInterpolated:
    """The flag of rows whose frames may be left out; exact mode has none of it."""

    @pytest.mark.parametrize("name", ["csv", "jsonl"])
    def test_it_comes_last_and_nothing_else_changes(self, name: str, tmp_path: Path) -> None:
        exact = written(name, TALK[:9], tmp_path).read_text().splitlines()
        flagged = written(name, FLAGGED, tmp_path).read_text().splitlines()
        assert not any("interpolated" in line for line in exact)
        if name == "csv":
            expected = [",interpolated", *(f",{int(k % 3 > 0)}" for k in range(9))]
            assert flagged == [line + flag for line, flag in zip(exact, expected, strict=True)]
        else:
            flags = [json.loads(line).pop("interpolated") for line in flagged]
            assert flags == [k % 3 > 0 for k in range(9)]
            assert [line.partition(',"interpolated"')[0] + "}" for line in flagged] == exact

    def test_formats_of_labels_alone_don_t_change(self, tmp_path: Path) -> None:
        for name in ("txt", "segments.csv", "srt", "vtt", "lines"):
            exact = written(name, TALK[:9], tmp_path).read_bytes()
            assert written(name, FLAGGED, tmp_path).read_bytes() == exact

    def test_tables(self) -> None:
        assert "interpolated" not in emorec_rt.table(TALK)
        assert emorec_rt.table(FLAGGED)["interpolated"].tolist() == [k % 3 > 0 for k in range(9)]

    def test_parquet(self, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        assert "interpolated" not in parquet.read_table(written("parquet", TALK, tmp_path)).column_names
        found = parquet.read_table(written("parquet", FLAGGED, tmp_path))
        assert found["interpolated"].to_pylist() == [k % 3 > 0 for k in range(9)]

    def test_an_interval_has_what_most_of_its_frames_have(self) -> None:
        every = Every(0.12)
        given = [row for flagged in FLAGGED for row in every.add(flagged)] + every.finish()
        assert [row.interpolated for row in given] == [True] * 3
        every = Every(0.12)
        assert [row.interpolated for k in TALK[:9] for row in every.add(k)] == [None] * 2

    def test_a_csv_without_rows_has_column_names(self, tmp_path: Path) -> None:
        assert written("csv", [], tmp_path).read_text().startswith("frame,time_seconds,label,")


MEASURED = [replace(row, measures={"valence": 0.01 * k, "AU12": 0.25}) for k, row in enumerate(TALK)]


class TestMeasures:
    """Valence, arousal and action units, of bundles that tell them."""

    def made(self, name: str, folder: Path, **options: float) -> Path:
        path = folder / f"talk.{name}"
        target = Target(
            Path("talk.mp4"), path, EXPRESSIONS, OutputOptions(**options), measures=("valence", "AU12")
        )
        write_all(FORMATS[name].make(target), MEASURED)
        return path

    def test_columns_of_csv_stand_behind_the_classes(self, tmp_path: Path) -> None:
        head, first, second, *_ = self.made("csv", tmp_path).read_text().splitlines()
        place = head.split(",").index("valence")
        assert head.split(",")[place - 1 : place + 3] == ["Other", "valence", "AU12", "face"]
        assert first.split(",")[place : place + 2] == ["0.0000", "0.2500"]
        assert second.split(",")[place] == "0.0100"

    def test_keys_of_jsonl_and_of_rows(self, tmp_path: Path) -> None:
        row = json.loads(self.made("jsonl", tmp_path).read_text().splitlines()[7])
        assert (row["valence"], row["AU12"]) == (0.07, 0.25)
        assert MEASURED[7].to_dict()["valence"] == pytest.approx(0.07)

    def test_columns_of_parquet(self, tmp_path: Path) -> None:
        parquet = pytest.importorskip("pyarrow.parquet")
        frame = parquet.read_table(self.made("parquet", tmp_path))
        assert frame.column_names[frame.column_names.index("Other") + 1 :][:2] == ["valence", "AU12"]
        np.testing.assert_allclose(frame["valence"].to_numpy(), 0.01 * np.arange(100), atol=1e-6)

    def test_intervals_have_means(self, tmp_path: Path) -> None:
        lines = self.made("jsonl", tmp_path, every_seconds=1.0).read_text().splitlines()
        assert [json.loads(line)["valence"] for line in lines] == pytest.approx([0.12, 0.37, 0.62, 0.87])

    def test_segments_have_means(self, tmp_path: Path) -> None:
        head, first, *_ = self.made("segments.csv", tmp_path).read_text().splitlines()
        assert head.endswith(",mean_score,mean_valence,mean_AU12")
        segment = json.loads(self.made("json", tmp_path).read_text())["segments"][0]
        inside = [
            row for row in MEASURED if segment["start_seconds"] <= row.time_seconds < segment["end_seconds"]
        ]
        mean = np.mean([row.measures["valence"] for row in inside])
        assert float(first.split(",")[-2]) == pytest.approx(mean, abs=1e-4)
        assert (segment["mean_valence"], segment["mean_AU12"]) == (pytest.approx(mean, abs=1e-4), 0.25)

    def test_the_challenges_own_files(self, tmp_path: Path) -> None:
        head, *rows = self.made("va.txt", tmp_path).read_text().splitlines()
        assert head == "image_location,valence"
        assert rows[7] == "talk/00008.jpg,0.0700"
        assert self.made("au.txt", tmp_path).read_text().startswith("image_location,AU12\ntalk/00001.jpg,0\n")
        with pytest.raises(OutputError, match="tells no action units"):
            written("au.txt", TALK, tmp_path)

    def test_without_them_nothing_changes(self, tmp_path: Path) -> None:
        for name in ("csv", "jsonl"):
            assert "valence" not in written(name, TALK, tmp_path).read_text()
        assert "valence" not in emorec_rt.table(TALK)
