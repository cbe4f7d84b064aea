"""What a call says at its end, for people and for programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from emorec_rt.errors import OutputError, UsageError
from emorec_rt.jobs.summary import (
    LONGEST_TABLE,
    MOST_FAILURES,
    Outcome,
    Totals,
    check_summary_file,
    write_summary,
)
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.digest import Digest


def account(done: int, failed: int = 0, skipped: int = 0) -> Totals:
    outcomes = [Outcome(Path(f"{k}.mp4"), "done", 50, 2.0, 0.5) for k in range(done)]
    outcomes += [Outcome(Path(f"bad{k}.mp4"), "failed", cause=f"bad{k}.mp4: damaged") for k in range(failed)]
    outcomes += [Outcome(Path(f"old{k}.mp4"), "skipped", 50, 2.0) for k in range(skipped)]
    return Totals(len(outcomes), outcomes, wall_seconds=1.0)


def test_totals_count_what_this_call_made() -> None:
    line = account(3, 1, 2).summary()
    assert line.startswith("3 of 6 inputs done, 1 failed, 2 skipped as done before: 150 rows, 6.0 s of media")
    assert "6.0x real time" in line


def test_a_short_call_has_a_line_for_each_input() -> None:
    lines = account(2, 1, 1).table().splitlines()
    assert len(lines) == 5
    assert lines[1].split() == ["0.mp4", "50", "2.0", "0.5", "done"]
    assert lines[3].endswith("failed: damaged")
    assert lines[4].endswith("skipped")


def test_a_long_call_shows_its_failures_alone() -> None:
    assert account(LONGEST_TABLE + 1).table() == ""
    lines = account(LONGEST_TABLE, 2).table().splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["bad0.mp4", "bad1.mp4"]
    many = account(0, MOST_FAILURES + 7).table().splitlines()
    assert len(many) == MOST_FAILURES + 2
    assert many[-1].strip() == "... and 7 more failed"


def test_files_for_programs(tmp_path: Path) -> None:
    for name in ("s.json", "s.csv"):
        write_summary(account(1, 1), tmp_path / name)
    whole = json.loads((tmp_path / "s.json").read_text())
    with (tmp_path / "s.csv").open() as file:
        table = list(csv.DictReader(file))
    assert {k: whole["totals"][k] for k in ("inputs", "done", "failed", "rows")} == {
        "inputs": 2,
        "done": 1,
        "failed": 1,
        "rows": 50,
    }
    assert [{k: str(v) for k, v in record.items()} for record in whole["inputs"]] == table
    assert table[1]["cause"] == "bad0.mp4: damaged"


def test_names_keep_no_password(tmp_path: Path) -> None:
    outcome = Outcome(Path("rtsp:/me:secret@camera/1"), "done")
    write_summary(Totals(1, [outcome]), tmp_path / "s.json")
    assert "secret" not in (tmp_path / "s.json").read_text()


def test_wrong_places_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.json or \.csv"):
        check_summary_file(Path("s.txt"), [], [])
    (tmp_path / "taken.json").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        write_summary(account(1), tmp_path / "taken.json")


def test_files_have_what_the_rows_say(tmp_path: Path) -> None:
    digest = Digest(("Fear", "Other"))
    for index in range(50):
        scores = np.array([0.75, 0.25], np.float32)
        digest.add(Prediction(index, index / 25, "Fear", scores, face=index < 25, sound=False))
    told = Outcome(Path("a.mp4"), "done", 50, 2.0, 0.5, "", digest.finish())
    silent = Outcome(Path("b.mp4"), "failed", cause="damaged")
    whole = Totals(2, [told, silent])
    for name in ("s.json", "s.csv"):
        write_summary(whole, tmp_path / name)
    first, second = json.loads((tmp_path / "s.json").read_text())["inputs"]
    assert first["summary"]["shares"] == {"Fear": 1.0, "Other": 0.0}
    assert first["summary"]["unknown_rows"] == 25
    assert "summary" not in second
    with (tmp_path / "s.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["share Fear"], rows[0]["mean Other"], rows[0]["unknown"]) == ("1.0", "0.25", "0.5")
    assert rows[1]["share Fear"] == ""
    assert "done: Fear 100%" in whole.table()
