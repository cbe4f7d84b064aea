"""A Jetson that isn't one: files under a root, and the vendor's programs as scripts on PATH."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

DATA = Path(__file__).parent / "data"
ORIN_RELEASE = (
    "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64, DATE: Wed Jan  8 2025\n"
)

Install = Callable[[str, str], Path]


def lines(name: str) -> list[str]:
    """Lines of a data file without its comments."""
    text = (DATA / name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def tool(name: str) -> str | None:
    """A program beside this Python, or on PATH."""
    return shutil.which(name, path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


def write(root: Path, name: str, text: str) -> Path:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def orin(tmp_path: Path) -> Path:
    """Root of an Orin Nano with JetPack 6.2, throttled by nothing."""
    root = tmp_path / "root"
    write(root, "etc/nv_tegra_release", ORIN_RELEASE)
    write(root, "etc/nvpmodel.conf", (DATA / "nvpmodel_orin_nano_super.conf").read_text(encoding="utf-8"))
    write(
        root, "proc/device-tree/model", "NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super\0"
    )
    write(root, "proc/meminfo", "MemTotal:        7803084 kB\nMemFree: 1 kB\nMemAvailable:    5242880 kB\n")
    for core in range(2):
        write(root, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_max_freq", "1344000\n")
        write(root, f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_min_freq", "115200\n")
    write(root, "sys/class/devfreq/17000000.gpu/max_freq", "918000000\n")
    write(root, "sys/class/hwmon/hwmon3/oc1_event_cnt", "0\n")
    write(root, "sys/class/hwmon/hwmon3/oc3_event_cnt", "7\n")
    write(root, "sys/class/thermal/cooling_device0/type", "pwm-fan\n")
    write(root, "sys/class/thermal/cooling_device0/cur_state", "2\n")
    write(root, "sys/class/thermal/cooling_device5/type", "gpu-throttle-alert\n")
    write(root, "sys/class/thermal/cooling_device5/cur_state", "0\n")
    write(root, "sys/class/thermal/thermal_zone0/temp", "48500\n")
    write(root, "sys/class/thermal/thermal_zone1/temp", "51250\n")
    return root


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """Puts a shell script on PATH under a name; sudo is one that runs what it is given."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def install(name: str, script: str) -> Path:
        path = folder / name
        path.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
        path.chmod(0o755)
        return path

    install("sudo", '[ "$1" = -n ] && shift; exec "$@"')
    return install
