"""Several processes that share a call's inputs: real ones, on tiny clips."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from emorec_rt.cli import cli
from emorec_rt.errors import EngineError, UsageError
from emorec_rt.jobs import parallel
from emorec_rt.jobs.parallel import Parallel, check_parallel, processes, shared
from emorec_rt.jobs.plan import plan
from emorec_rt.jobs.worker import Work
from emorec_rt.machine.nvidia import VISIBLE_GPUS
from emorec_rt.recognizer.options import Options
from emorec_rt.writers import OutputOptions
from folder_clips import emorec_command, environment, write_clip
from listener import Listener

MINUTE = 60
FAST = ("--face", "off", "--backend", "onnxruntime")
OPTIONS = Options(backend="onnxruntime", face="off")


@pytest.fixture
def cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "usable_cores", lambda: 8)


@pytest.mark.usefixtures("cores")
class TestShares:
    def test_processes(self) -> None:
        assert [processes(None, jobs) for jobs in (1, 3, 100)] == [1, 3, 4]
        assert [processes(16, jobs) for jobs in (1, 100)] == [1, 16]

    def test_threads_are_divided(self) -> None:
        options = shared(Options(), 3)
        assert (options.threads, options.source.threads) == (2, 2)
        assert shared(Options(threads=2), 8).threads == 1


@pytest.mark.parametrize(
    ("inputs", "out_dir", "part"),
    [
        (["a.mp4", "b.mp4"], None, "--out-dir"),
        (["a.mp4", "http://me:secret@camera"], "out", r"\*\*\*@camera"),
    ],
)
def test_what_processes_cannot_share_is_refused(inputs: list[str], out_dir: str | None, part: str) -> None:
    with pytest.raises(UsageError, match=part):
        check_parallel(plan(list(map(Path, inputs)), [], out_dir and Path(out_dir), []))


def test_two_processes_write_what_one_writes(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    for k in range(4):
        write_clip(source / f"{k}.mkv", frames=10 + k)
    (source / "bad.mkv").write_bytes(b"nothing that is media")
    for jobs in ("1", "2"):
        command = emorec_command(source, *FAST, "--out-dir", tmp_path / jobs, "--jobs", jobs)
        done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=3 * MINUTE)
        assert done.returncode == 1
        assert sum(line.startswith("error:") for line in done.stderr.splitlines()) == 1
        assert "4 of 5 inputs done, 1 failed: 46 rows" in done.stderr
        table = [
            line.split()[0] for line in done.stderr.splitlines() if ".mkv" in line and "error" not in line
        ]
        assert [Path(name).name for name in table] == ["0.mkv", "1.mkv", "2.mkv", "3.mkv", "bad.mkv"]
    assert sorted(path.name for path in (tmp_path / "2").iterdir()) == ["0.csv", "1.csv", "2.csv", "3.csv"]
    for path in (tmp_path / "1").iterdir():
        assert path.read_text() == (tmp_path / "2" / path.name).read_text()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_a_process_that_dies_fails_its_own_input_alone(tmp_path: Path, number: signal.Signals) -> None:
    files = [write_clip(tmp_path / f"{k}.mkv", frames=3000 if k == 0 else 10) for k in range(3)]
    jobs = plan(files, [], tmp_path / "out", ["csv"])

    class Killer(Listener):
        def advance(self, steps: int) -> None:  # noqa: ARG002
            for worker in run._workers:
                if worker.job is jobs[0] and worker.process.pid is not None:
                    os.kill(worker.process.pid, number)

    listener = Killer()
    run = Parallel(Work(None, OPTIONS, OutputOptions()), jobs, 1, listener)
    totals = run.run()
    assert (totals.inputs, totals.failed) == (3, 1)
    assert listener.settled == [("0.mkv", "failed"), ("1.mkv", "done"), ("2.mkv", "done")]
    (line,) = listener.lines
    assert f"0.mkv: the process that worked on it ended ({number.name}" in line
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.csv", "2.csv"]


def test_engines_that_cannot_be_loaded_end_the_call(tmp_path: Path) -> None:
    jobs = plan([write_clip(tmp_path / "0.mkv")], [], tmp_path / "out", [])
    run = Parallel(Work(None, replace(OPTIONS, precision="fp16"), OutputOptions()), jobs, 1)
    with pytest.raises(UsageError, match="no fp16 variant"):
        run.run()
    broken = Parallel(Work(tmp_path / "nowhere", OPTIONS, OutputOptions()), jobs, 1)
    with pytest.raises(EngineError, match="nowhere"):
        broken.run()


@pytest.mark.parametrize(
    ("visible", "taken", "expected"),
    [
        ((), [], ""),
        (("0",), ["", ""], ""),
        (("0", "2"), [], "0"),
        (("0", "2"), ["0"], "2"),
        (("0", "2"), ["2", "0", "2"], "0"),
    ],
)
def test_processes_are_spread_over_the_gpus(
    visible: tuple[str, ...], taken: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parallel, "visible_gpus", lambda: visible)
    run = Parallel(Work(None, OPTIONS, OutputOptions()), [], 1, print)
    run._workers = [parallel._Worker(None, None, gpu) for gpu in taken]  # type: ignore[arg-type]
    assert run._idlest_gpu() == expected


@pytest.mark.parametrize(
    ("value", "seen"), [("0", "0"), ("1, 3", "1,3"), ("0,0", None), ("a", None), ("", None)]
)
def test_gpus_are_chosen_before_any_library_looks(
    value: str, seen: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VISIBLE_GPUS, "7")
    done = CliRunner().invoke(cli, ["run", str(tmp_path / "missing.mp4"), "--gpus", value])
    assert done.exit_code != 0
    assert os.environ[VISIBLE_GPUS] == (seen or "7")
    assert seen or "give numbers with commas between them" in done.output


def running(process: str) -> bool:
    """Whether it runs; one that has ended may wait for whoever adopted it."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_ctrl_c_ends_all_processes_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    write_clip(source / "0.mkv", frames=5000)
    for k in range(1, 9):
        shutil.copy(source / "0.mkv", source / f"{k}.mkv")
    command = emorec_command(source, *FAST, "-q", "--out-dir", tmp_path / "out", "--jobs", "2")
    with subprocess.Popen(
        command, env=environment(), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        deadline = time.monotonic() + 3 * MINUTE
        while time.monotonic() < deadline and len(list((tmp_path / "out").glob(".*.part"))) < 2:
            time.sleep(0.01)
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        os.killpg(process.pid, signal.SIGINT)
        _, stderr = process.communicate(timeout=3 * MINUTE)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    assert len(children) >= 2
    deadline = time.monotonic() + MINUTE
    while any(map(running, children)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(running, children))
    assert list((tmp_path / "out").glob(".*")) == []


def test_two_hundred_files_of_which_one_in_ten_is_bad(tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    clip = write_clip(tmp_path / "clip.mkv", frames=2).read_bytes()
    for k in range(200):
        (source / f"{k:03}.mkv").write_bytes(clip if k % 10 else clip[: 40 + k])
    command = emorec_command(source, *FAST, "--out-dir", tmp_path / "out")
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), timeout=3 * MINUTE)
    assert done.returncode == 1
    assert "180 of 200 inputs done, 20 failed: 360 rows" in done.stderr
    assert len(list((tmp_path / "out").iterdir())) == 180
    table = [line for line in done.stderr.splitlines() if line.startswith("  ") and "failed: " in line]
    assert len(table) == 20
    assert all(outcome in done.stderr for outcome in ("000.mkv", "190.mkv"))
