from __future__ import annotations

import csv
import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.errors import OutputError
from emorec_rt.writers import FORMATS, STDOUT, WholeFile

from .conftest import leftovers, prediction, rows, target, write_all


def test_abaw_rows(tmp_path: Path) -> None:
    write_all(
        FORMATS["txt"].make(target(tmp_path / "p.txt")), [prediction(0, 0.0), prediction(1, 0.04, "Fear")]
    )
    assert (tmp_path / "p.txt").read_text().splitlines() == [
        "image_location," + ",".join(EXPRESSIONS),
        "talk/00001.jpg,4",
        "talk/00002.jpg,3",
    ]


def test_csv_and_jsonl_agree(tmp_path: Path) -> None:
    predictions = rows([0.0, 0.04, 0.081])
    for name in ("csv", "jsonl"):
        write_all(FORMATS[name].make(target(tmp_path / f"p.{name}")), predictions)
    with (tmp_path / "p.csv").open() as file:
        table = list(csv.DictReader(file))
    objects = [json.loads(line) for line in (tmp_path / "p.jsonl").read_text().splitlines()]
    assert [float(row["time_seconds"]) for row in table] == [o["time_seconds"] for o in objects]
    assert [row["label"] for row in table] == [o["label"] for o in objects] == ["Happiness"] * 3
    assert objects[0]["box"] == [20.0, 10.0, 30.0, 40.0]


def test_a_name_that_is_no_utf_8_is_written_all_the_same(tmp_path: Path) -> None:
    source = Path(os.fsdecode(b"caf\xe9.mp4"))
    for name in ("txt", "jsonl"):
        write_all(FORMATS[name].make(target(tmp_path / f"p.{name}", source)), rows([0.0]))
        assert "caf\N{REPLACEMENT CHARACTER}" in (tmp_path / f"p.{name}").read_text(encoding="utf-8")


class TestWholeFile:
    def test_appears_on_commit_and_not_before(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "p.txt"
        file = WholeFile(path)
        file.write("all of it")
        assert not path.exists()
        file.commit()
        assert path.read_text() == "all of it"
        assert leftovers(tmp_path) == []

    def test_keeps_what_was_there_when_it_is_discarded(self, tmp_path: Path) -> None:
        path = tmp_path / "p.txt"
        path.write_text("before")
        file = WholeFile(path)
        file.write("half")
        file.discard()
        assert path.read_text() == "before"
        assert leftovers(tmp_path) == []

    def test_refuses_a_folder_and_a_pipe(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(OutputError, match="device or a pipe"):
            WholeFile(tmp_path / "pipe")
        with pytest.raises(OutputError, match="is a folder"):
            WholeFile(tmp_path)
        assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)
        assert leftovers(tmp_path) == []

    def test_refuses_a_file_in_the_place_of_its_folder(self, tmp_path: Path) -> None:
        (tmp_path / "taken").write_text("")
        with pytest.raises(OutputError, match="can't be written"):
            WholeFile(tmp_path / "taken" / "p.txt")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes everywhere")
    def test_refuses_a_read_only_folder(self, tmp_path: Path) -> None:
        tmp_path.chmod(0o500)
        with pytest.raises(OutputError, match="Permission denied"):
            WholeFile(tmp_path / "p.txt")

    def test_a_kill_leaves_the_place_as_it_was(self, tmp_path: Path) -> None:
        path = tmp_path / "p.txt"
        path.write_text("before")
        code = (
            "import os, signal, sys; from pathlib import Path; from emorec_rt.writers import WholeFile\n"
            "file = WholeFile(Path(sys.argv[1])); file.write('x' * 100_000)\n"
            "os.kill(os.getpid(), signal.SIGKILL)"
        )
        done = subprocess.run([sys.executable, "-c", code, str(path)], check=False, env=environment())
        assert done.returncode == -signal.SIGKILL
        assert path.read_text() == "before"
        assert all(left.name.startswith(".") for left in leftovers(tmp_path))


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


STREAM_ROWS = """
import sys
from pathlib import Path
import numpy as np
from emorec_rt.errors import OutputError
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, STDOUT, Target
writer = FORMATS["jsonl"].make(Target(Path("talk.mp4"), STDOUT, ("a", "b")))
row = Prediction(0, 0.0, "a", np.array([0.75, 0.25], np.float32), True, True)
try:
    for _ in range(20_000):
        writer.write(row)
    writer.commit()
except OutputError as error:
    print(type(error).__name__, error, file=sys.stderr)
"""


class TestStandardOutput:
    def test_each_row_is_out_at_once(self, capfd: pytest.CaptureFixture[str]) -> None:
        writer = FORMATS["jsonl"].make(target(STDOUT))
        writer.write(prediction(0, 0.0))
        assert json.loads(capfd.readouterr().out)["frame"] == 0

    def test_a_reader_that_leaves_is_told_apart_and_nothing_follows(self) -> None:
        command = [sys.executable, "-c", STREAM_ROWS]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            assert json.loads(process.stdout.readline())["label"] == "a"
            process.stdout.close()
            assert process.stderr.read().splitlines() == [
                "ReaderGoneError standard output: closed by its reader"
            ]
            assert process.wait() == 0

    def test_a_full_device_is_one_error(self) -> None:
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                [sys.executable, "-c", STREAM_ROWS],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
                check=False,
            )
        assert done.returncode == 0
        (line,) = done.stderr.splitlines()
        assert line.startswith("OutputError standard output: can't be written (No space left")
