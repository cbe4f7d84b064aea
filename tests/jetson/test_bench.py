"""The benchmark over power modes, with the vendor's programs as scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from emorec_jetson.measure import parse_report
from emorec_rt.machine.jetson.errors import JetsonError

from .conftest import Install, lines

ROOT = Path(__file__).parents[2]
REPORT = {"times_real_time": 4.0, "frames": 100, "wall_seconds": 0.5, "stages": {"vision": 0.3}}
NVPMODEL = """
case "$1" in
  -q) n=$(cat {mode}); names=(15W 25W MAXN_SUPER); printf 'NV Power Mode: %s\\n%s\\n' "${{names[$n]}}" "$n" ;;
  -m) if [ "$2" = "{reboot}" ]; then
        echo "NVPM WARN: Reboot required for changing to this power mode: $2"; read x
      else echo "$2" > {mode}; echo "$2" >> {log}; fi ;;
esac
"""


class Jetson:
    """Programs of an Orin Nano whose mode is a file."""

    def __init__(self, tmp_path: Path, orin: Path, program: Install, reboot: str = "none") -> None:
        self.root = orin
        self.mode, self.log = tmp_path / "mode", tmp_path / "log"
        self.mode.write_text("1\n", encoding="utf-8")
        self.log.touch()
        self.video = tmp_path / "clip.mp4"
        self.video.touch()
        self.out = tmp_path / "result.json"
        program("nvpmodel", NVPMODEL.format(mode=self.mode, log=self.log, reboot=reboot))
        line = lines("tegrastats_orin_nano.txt")[0]
        program("tegrastats", f"while true; do echo '{line}'; sleep 0.02; done")
        program("emorec-rt", f"sleep 0.4; echo '{json.dumps(REPORT)}'")

    def command(self, *arguments: str) -> list[str]:
        base = [sys.executable, str(ROOT / "jetson" / "bench.py"), str(self.video), "--root", str(self.root)]
        return [*base, "--settle-seconds", "0.4", "--out", str(self.out), *arguments]

    def environment(self) -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(ROOT / "runtime")}

    def bench(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*arguments),
            capture_output=True,
            text=True,
            env=self.environment(),
            timeout=60,
            check=False,
        )

    def modes_set(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").split()


@pytest.fixture
def jetson(tmp_path: Path, orin: Path, program: Install) -> Jetson:
    return Jetson(tmp_path, orin, program)


def test_every_mode_is_measured_and_the_first_one_restored(jetson: Jetson) -> None:
    done = jetson.bench()
    assert done.returncode == 0, done.stderr
    assert jetson.modes_set() == ["0", "1", "2", "1"]
    record = json.loads(jetson.out.read_text(encoding="utf-8"))
    assert record["module"]["l4t"] == "36.4.3"
    assert [one["mode"]["name"] for one in record["modes"]] == ["15W", "25W", "MAXN_SUPER"]
    first = record["modes"][0]
    assert first["frames_per_second"] == 200.0
    assert first["load"]["mean_watts"] == pytest.approx(17.946)
    assert first["joules_per_video_second"] == pytest.approx(17.946 / 4.0)
    assert first["idle_watts"] == pytest.approx(17.946)
    assert (first["load"]["max_celsius"], first["load"]["hottest_sensor"]) == (65.562, "cpu")
    assert first["load"]["throttled"] is False
    assert first["program"]["stages"] == {"vision": 0.3}
    assert "2 MAXN_SUPER" in done.stdout
    assert "watts: the module, without its carrier board" in done.stdout


def test_one_mode_by_name(jetson: Jetson) -> None:
    assert jetson.bench("--mode", "maxn_super").returncode == 0
    assert jetson.modes_set() == ["2", "1"]


def test_an_unknown_mode_is_a_usage_error(jetson: Jetson) -> None:
    done = jetson.bench("--mode", "90W")
    assert done.returncode == 2
    assert "it has: 0 15W, 1 25W, 2 MAXN_SUPER" in done.stderr
    assert jetson.modes_set() == []


def test_a_mode_that_needs_a_reboot_is_skipped(tmp_path: Path, orin: Path, program: Install) -> None:
    jetson = Jetson(tmp_path, orin, program, reboot="0")
    done = jetson.bench()
    assert done.returncode == 0, done.stderr
    assert "mode 0 (15W): skipped, mode 0 (15W) needs a reboot" in done.stdout
    record = json.loads(jetson.out.read_text(encoding="utf-8"))
    assert record["modes"][0]["skipped"] == "mode 0 (15W) needs a reboot"
    assert record["modes"][1]["skipped"] is None


def test_throttling_is_reported(jetson: Jetson, program: Install) -> None:
    counter = jetson.root / "sys/class/hwmon/hwmon3/oc3_event_cnt"
    program("emorec-rt", f"sleep 0.4; echo 12 > {counter}; sleep 0.4; echo '{json.dumps(REPORT)}'")
    done = jetson.bench("--mode", "1")
    load = json.loads(jetson.out.read_text(encoding="utf-8"))["modes"][0]["load"]
    assert load["throttled"] is True
    assert load["throttle_causes"] == ["oc3: 5 events"]
    assert "oc3: 5 events" in done.stdout


def test_a_failing_program_is_one_line_and_the_mode_comes_back(jetson: Jetson, program: Install) -> None:
    program("emorec-rt", "echo 'error: clip.mp4: no video stream' >&2; exit 1")
    done = jetson.bench("--mode", "0")
    assert done.returncode == 1
    assert "error: clip.mp4: no video stream" in done.stderr
    assert "Traceback" not in done.stderr
    assert jetson.modes_set() == ["0", "1"]


def start(jetson: Jetson, *modes: str) -> subprocess.Popen[bytes]:
    """A benchmark that has reached its first mode."""
    process = subprocess.Popen(
        jetson.command(*(word for mode in modes for word in ("--mode", mode))),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=jetson.environment(),
    )
    while jetson.modes_set() != [modes[0]]:
        assert process.poll() is None
        time.sleep(0.02)
    return process


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_restores_the_mode(jetson: Jetson, program: Install, number: signal.Signals) -> None:
    program("emorec-rt", "exec sleep 30")
    process = start(jetson, "2")
    time.sleep(0.3)
    process.send_signal(number)
    assert process.wait(20) != 0
    assert jetson.modes_set() == ["2", "1"]


def test_a_kill_restores_the_mode_too(jetson: Jetson, program: Install) -> None:
    program("emorec-rt", "exec sleep 3")
    process = start(jetson, "2")
    process.kill()
    process.wait(20)
    deadline = time.monotonic() + 20
    while jetson.modes_set() != ["2", "1"]:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_what_was_measured_before_an_interruption_is_kept(jetson: Jetson, program: Install) -> None:
    program("emorec-rt", f"[ $(cat {jetson.mode}) = 1 ] && exec sleep 30; echo '{json.dumps(REPORT)}'")
    process = start(jetson, "0", "1")
    while jetson.modes_set() != ["0", "1"]:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 128 + signal.SIGTERM
    record = json.loads(jetson.out.read_text(encoding="utf-8"))
    assert [one["mode"]["name"] for one in record["modes"]] == ["15W"]


def test_without_rights_nothing_is_tried(jetson: Jetson, program: Install) -> None:
    if os.geteuid() == 0:
        pytest.skip("root has all rights")
    program("sudo", "echo 'sudo: a password is required' >&2; exit 1")
    done = jetson.bench()
    assert done.returncode == 1
    assert "can't be changed (sudo: a password is required); run sudo -v first" in done.stderr
    assert jetson.modes_set() == []


def test_a_result_that_cannot_be_written_is_told_before_anything_is_measured(jetson: Jetson) -> None:
    done = jetson.bench("--mode", "1", "--out", str(jetson.video / "x.json"))
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.splitlines()) == 1
    assert jetson.modes_set() == []


def test_a_run_without_results_leaves_the_earlier_record(jetson: Jetson, program: Install) -> None:
    jetson.out.write_text("earlier", encoding="utf-8")
    program("nvpmodel", "echo nothing")
    assert jetson.bench("--mode", "1").returncode == 1
    assert jetson.out.read_text(encoding="utf-8") == "earlier"
    assert not list(jetson.out.parent.glob(".*.part"))


@pytest.mark.parametrize("wrong", [("--settle-seconds", "-1"), ("--interval-ms", "0")])
def test_times_that_make_no_sense_are_wrong_usage(jetson: Jetson, wrong: tuple[str, str]) -> None:
    done = jetson.bench(*wrong)
    assert done.returncode == 2
    assert wrong[0] in done.stderr
    assert jetson.modes_set() == []


def test_without_tegrastats_the_error_names_it(jetson: Jetson, program: Install) -> None:
    program("tegrastats", "").unlink()
    done = jetson.bench("--mode", "0")
    assert done.returncode == 1
    assert "error: tegrastats is not on PATH" in done.stderr
    assert jetson.modes_set() == ["0", "1"]


def test_report_is_found_behind_other_output() -> None:
    text = f"note: default model\n{json.dumps(REPORT, indent=2)}\n"
    speed = parse_report(text)
    assert (speed.frames, speed.frames_per_second, speed.video_seconds) == (100, 200.0, 2.0)


@pytest.mark.parametrize(
    "text", ["", "no json", '{"frames": 3}', '{"frames": 0, "wall_seconds": 1, "times_real_time": 1}']
)
def test_other_reports_are_refused(text: str) -> None:
    with pytest.raises(JetsonError):
        parse_report(text)
