"""Module, throttling, health and the memory plan, from files under a root."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from emorec_jetson.__main__ import describe
from emorec_jetson.health import check
from emorec_jetson.throttle import read_throttle
from emorec_rt.machine.jetson.errors import JetsonError
from emorec_rt.machine.jetson.module import JETPACKS, Memory, jetpack_of, parse_release, read_module
from emorec_rt.machine.jetson.plan import BATCHES, WORKSPACES_MIB, plan_memory

from .conftest import write

ROOT = Path(__file__).parents[2]


def test_module_is_read(orin: Path) -> None:
    module = read_module(orin)
    assert module.model == "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super"
    assert module.l4t == "36.4.3"
    assert module.jetpack is JETPACKS["36.4"]
    assert module.memory == Memory(7620, 5120)
    assert (module.cpu_mhz, module.gpu_mhz, module.clocks_held) == ((1344, 1344), 918, False)
    text = describe(module, plan_memory(module.memory.total_mib))
    assert "TensorRT 10.3" in text
    assert "plan: fp16, batch 16, workspace 512 MiB" in text
    assert text.rstrip().endswith(
        "build: emorec-rt build BUNDLE --precision fp16 --max-batch 16 --workspace 512"
    )


@pytest.mark.parametrize(
    ("l4t", "jetpack", "tensorrt"),
    [("36.3.0", "6.0", "8.6 or 10.0"), ("36.4.7", "6.1 to 6.2.1", "10.3"), ("38.2.0", "7.0", "10.13.3")],
)
def test_release_gives_jetpack(l4t: str, jetpack: str, tensorrt: str) -> None:
    found = jetpack_of(l4t)
    assert found is not None
    assert (found.name, found.tensorrt) == (jetpack, tensorrt)


def test_unknown_releases(tmp_path: Path) -> None:
    assert jetpack_of("40.1.0") is None
    assert parse_release("# R38 (release), REVISION: 2.0, GCID: 41844464, BOARD: generic") == "38.2.0"
    with pytest.raises(JetsonError, match="names no release"):
        parse_release("Ubuntu")
    with pytest.raises(JetsonError, match="is this a Jetson"):
        read_module(tmp_path)


def test_every_containerfile_of_the_table_exists() -> None:
    assert {pack.containerfile for pack in JETPACKS.values()} == {
        None,
        "Containerfile.jp6",
        "Containerfile.jp7",
    }
    for pack in JETPACKS.values():
        if pack.containerfile:
            text = (ROOT / "jetson" / pack.containerfile).read_text(encoding="utf-8")
            assert f"FROM docker.io/library/ubuntu:{pack.ubuntu}\n" in text


def test_throttling_counts_new_events_and_leaves_the_fan_out(orin: Path) -> None:
    before = read_throttle(orin)
    assert before.readable
    assert before.active == set()
    write(orin, "sys/class/hwmon/hwmon3/oc3_event_cnt", "9\n")
    write(orin, "sys/class/thermal/cooling_device5/cur_state", "1\n")
    after = read_throttle(orin)
    assert after.new_events(before) == {"oc3": 2}
    assert after.active == {"gpu-throttle-alert.5"}


def test_a_system_that_says_nothing_of_throttling(tmp_path: Path) -> None:
    assert not read_throttle(tmp_path).readable


def test_health_tells_fresh_rows_from_stale(orin: Path) -> None:
    rows = write(orin, "rows.jsonl", "{}\n")
    os.utime(rows, (1000.0, 1000.0))
    fresh = check("video0", rows, now_seconds=1010.0, stale_seconds=60.0, root=orin)
    stale = check("video0", rows, now_seconds=1100.0, stale_seconds=60.0, root=orin)
    assert fresh.healthy
    assert "healthy, last row 10 s ago; 5120 MiB free, 51.2 C" in fresh.line
    assert not stale.healthy
    assert "UNHEALTHY" in stale.line
    assert "held down" not in stale.line
    write(orin, "sys/class/thermal/cooling_device5/cur_state", "2\n")
    hot = check("video0", rows, now_seconds=1010.0, stale_seconds=60.0, root=orin)
    assert hot.healthy
    assert "clocks held down by gpu-throttle-alert.5" in hot.line
    assert not check("video1", orin / "none", now_seconds=0.0, stale_seconds=1.0, root=orin).healthy


@pytest.mark.parametrize(
    ("total_mib", "desktop", "expected"),
    [
        (3420, False, (True, "fp16", 16, 256)),
        (7620, False, (True, "fp16", 16, 512)),
        (7620, True, (True, "fp16", 16, 512)),
        (15523, False, (True, "fp16", 16, 1024)),
        (62841, False, (True, "fp16", 16, 2048)),
    ],
)
def test_plans_of_modules(total_mib: int, desktop: bool, expected: tuple[object, ...]) -> None:
    plan = plan_memory(total_mib, desktop=desktop)
    assert (plan.fits, plan.kind, plan.batch, plan.workspace_mib) == expected
    assert plan.contexts == 1


def test_a_desktop_does_not_fit_beside_a_build_on_4_gb() -> None:
    plan = plan_memory(3420, desktop=True)
    assert not plan.fits
    assert plan.kind == "int8"
    assert any("does not fit" in reason for reason in plan.reasons)


@given(st.integers(512, 200_000), st.booleans())
def test_a_plan_that_fits_stays_within_memory(total_mib: int, desktop: bool) -> None:
    plan = plan_memory(total_mib, desktop=desktop)
    assert plan.batch in BATCHES
    assert plan.workspace_mib in WORKSPACES_MIB
    assert plan.fits == (max(plan.build_mib, plan.run_mib) <= int(total_mib * 0.9))
    if plan.fits:
        assert plan_memory(total_mib + 1024, desktop=desktop).fits


def test_the_page_shows_the_plan_that_the_code_makes() -> None:
    page = (ROOT / "docs" / "jetson.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| [^|]+ \| (\d+) MiB \| (no|yes) \| (\w+) \| (\d+) "
        r"\| (\d+) MiB \| (\d+) MiB \| (\d+) MiB \| (\w+) \|$",
        page,
        re.MULTILINE,
    )
    assert len(rows) >= 6
    for total, desktop, precision, batch, workspace, build, running, fits in rows:
        plan = plan_memory(int(total), desktop=desktop == "yes")
        figures = (plan.kind, plan.batch, plan.workspace_mib, plan.build_mib, plan.run_mib)
        assert figures == (precision, int(batch), int(workspace), int(build), int(running))
        assert plan.fits == (fits == "yes")


def test_the_program_prints_module_and_plan(orin: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'jetson'}{os.pathsep}{ROOT / 'runtime'}"}
    command = [sys.executable, "-m", "emorec_jetson", "--root", str(orin)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "Jetson Linux 36.4.3 (JetPack 6.1 to 6.2.1, TensorRT 10.3)" in done.stdout
