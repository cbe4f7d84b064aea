"""``setup.sh`` on a machine that only looks like a Jetson: what it checks, what it would do, what it does."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Install, tool, write

ROOT = Path(__file__).parents[2]


class Machine:
    """Programs that log how they were called."""

    def __init__(self, tmp_path: Path, orin: Path, program: Install) -> None:
        self.root, self.tmp_path, self.log = orin, tmp_path, tmp_path / "calls"
        self.log.touch()
        self.units = tmp_path / "units"
        self.units.mkdir()
        program("uname", "echo aarch64")
        program("nvpmodel", "printf 'NV Power Mode: 25W\\n1\\n'")
        program("df", "echo ' Avail'; echo '20000M'")
        program("dpkg-query", '[ "${@: -1}" = v4l-utils ] || echo -n installed')
        program("id", 'if [ "$1" = emorec ]; then exit 1; else /usr/bin/id "$@"; fi')
        for name in ("apt-get", "useradd", "usermod", "systemctl"):
            program(name, f'echo "{name} $*" >> {self.log}')
        python = program("fake-python", f'echo "python $*" >> {self.log}')
        venv = f'if [ "$2" = venv ]; then mkdir -p "${{@: -1}}/bin"; cp {python} "${{@: -1}}/bin/python"; fi'
        program("python3", f'echo "python3 $*" >> {self.log}; {venv}')
        program("install", f'echo "install $*" >> {self.log}; mkdir -p "${{@: -1}}"')

    def setup(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "EMOREC_ROOT": str(self.root),
            "EMOREC_PREFIX": str(self.tmp_path / "opt"),
            "EMOREC_UNITS": str(self.units),
            "EMOREC_LOGROTATE": str(self.units),
            "EMOREC_LOGS": str(self.tmp_path / "state"),
            **variables,
        }
        command = ["bash", str(ROOT / "jetson" / "setup.sh"), *arguments]
        return subprocess.run(
            command, capture_output=True, text=True, env=environment, stdin=subprocess.DEVNULL, check=False
        )

    def calls(self) -> Iterator[str]:
        return iter(self.log.read_text(encoding="utf-8").splitlines())


@pytest.fixture
def machine(tmp_path: Path, orin: Path, program: Install) -> Machine:
    return Machine(tmp_path, orin, program)


def test_dry_run_looks_and_changes_nothing(machine: Machine) -> None:
    done = machine.setup("--dry-run", "--camera", "video0")
    assert done.returncode == 0, done.stderr
    assert "module:      NVIDIA Jetson Orin Nano" in done.stdout
    assert "release:     Jetson Linux 36.4.3 (jp6)" in done.stdout
    assert "power mode:  25W" in done.stdout
    assert "will install with apt: v4l-utils\n" in done.stdout
    assert "requirements.jp6.txt" in done.stdout
    assert "emorec-camera@video0.service" in done.stdout
    assert list(machine.calls()) == []
    assert list(machine.units.iterdir()) == []
    assert not (machine.tmp_path / "opt").exists()


def test_it_installs_with_jetpacks_tensorrt_and_checks(machine: Machine) -> None:
    done = machine.setup("--yes")
    assert done.returncode == 0, done.stderr
    calls = list(machine.calls())
    assert any(call.startswith("apt-get install") and call.endswith("v4l-utils") for call in calls)
    assert any("-m venv --system-site-packages" in call for call in calls)
    pip = next(call for call in calls if "-m pip install" in call)
    assert "--constraint" in pip
    assert "jetson/constraints.txt" in pip
    assert any("emorec_jetson.verify --load" in call for call in calls)


def test_a_second_run_does_not_repeat_what_is_there(machine: Machine, program: Install) -> None:
    program("dpkg-query", "echo -n installed")
    assert machine.setup("--yes").returncode == 0
    machine.log.write_text("", encoding="utf-8")
    done = machine.setup("--yes")
    assert done.returncode == 0, done.stderr
    assert "system packages: all there" in done.stdout
    assert not [call for call in machine.calls() if call.startswith("apt-get") or "-m venv" in call]


def test_a_camera_gets_its_units_with_the_chosen_folders(machine: Machine) -> None:
    done = machine.setup("--yes", "--camera", "video0")
    assert done.returncode == 0, done.stderr
    unit = (machine.units / "emorec-camera@.service").read_text(encoding="utf-8")
    assert f"ExecStart={machine.tmp_path}/opt/venv/bin/emorec-rt ${{EMOREC_SOURCE}} --out -" in unit
    assert "Environment=EMOREC_SOURCE=/dev/%I" in unit
    assert f"StandardOutput=append:{machine.tmp_path}/state/%i.jsonl" in unit
    calls = list(machine.calls())
    both = "emorec-camera@video0.service emorec-camera-health@video0.timer"
    assert calls.index(f"systemctl enable {both}") < calls.index(f"systemctl restart {both}")
    assert not (machine.units / "emorec-camera@video0.service.d").exists()


def test_a_csi_camera_gets_its_source_and_sees_the_daemons_socket(machine: Machine) -> None:
    assert machine.setup("--yes", "--camera", "csi1").returncode == 0
    addition = machine.units / "emorec-camera@csi1.service.d" / "csi.conf"
    assert addition.read_text(encoding="utf-8").splitlines() == [
        "[Service]",
        "Environment=EMOREC_SOURCE=csi://1",
        "PrivateTmp=no",
    ]
    assert any("restart emorec-camera@csi1.service" in call for call in machine.calls())


def test_jetpack_7_takes_its_own_requirements(machine: Machine) -> None:
    write(machine.root, "etc/nv_tegra_release", "# R38 (release), REVISION: 4.0, GCID: 1, BOARD: generic\n")
    assert "requirements.jp7.txt" in machine.setup("--dry-run").stdout


@pytest.mark.parametrize(
    ("release", "reason"),
    [
        ("# R35 (release), REVISION: 6.0, GCID: 1", "35.6.0 is not supported"),
        ("# R36 (release), REVISION: 3.0, GCID: 1", "no TensorRT 10.3"),
        ("nonsense", "names no release"),
    ],
)
def test_other_releases_are_refused(machine: Machine, release: str, reason: str) -> None:
    write(machine.root, "etc/nv_tegra_release", release + "\n")
    done = machine.setup("--yes")
    assert done.returncode == 1
    assert reason in done.stderr
    assert list(machine.calls()) == []


def test_other_machines_are_refused(machine: Machine, program: Install) -> None:
    program("df", "echo ' Avail'; echo '900M'")
    assert "900 MiB free" in machine.setup("--yes").stderr
    program("uname", "echo x86_64")
    assert "not a Jetson" in machine.setup("--yes").stderr
    assert list(machine.calls()) == []


def test_it_does_not_go_on_unasked(machine: Machine) -> None:
    done = machine.setup()
    assert done.returncode == 1
    assert "use --yes" in done.stderr
    assert list(machine.calls()) == []


@pytest.mark.parametrize("arguments", [("--camera", "../x"), ("--camera",), ("--nonsense",)])
def test_wrong_usage(machine: Machine, arguments: tuple[str, ...]) -> None:
    assert machine.setup(*arguments).returncode == 2


def test_help_is_the_head_of_the_file(machine: Machine) -> None:
    done = machine.setup("--help")
    assert done.returncode == 0
    assert "--dry-run" in done.stdout
    assert "set -euo" not in done.stdout


@pytest.mark.skipif(tool("shellcheck") is None, reason="shellcheck is not installed")
def test_shellcheck() -> None:
    scripts = [ROOT / "jetson" / "setup.sh", ROOT / ".ci" / "run"]
    subprocess.run([str(tool("shellcheck")), "--exclude=SC2030,SC2031", *map(str, scripts)], check=True)
