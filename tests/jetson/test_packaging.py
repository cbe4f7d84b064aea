"""What keeps JetPack's libraries in place, container files, units and the arm64 wheel check."""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from check_arm64_wheels import TARGETS, platforms, runtime_requirements, wheel_of

from emorec_jetson.verify import check_intruders, check_tensorrt
from emorec_rt.machine.jetson.installation import NOT_FROM_PIP
from emorec_rt.machine.jetson.module import JETPACKS

from .conftest import tool

ROOT = Path(__file__).parents[2]
JETSON = ROOT / "jetson"
CONTAINERFILES = sorted(JETSON.glob("Containerfile.*"))
UNITS = sorted([*JETSON.glob("*.service"), *JETSON.glob("*.timer")])


def make_wheel(folder: Path, name: str) -> None:
    """A wheel with nothing but its name."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    digests = {n: base64.urlsafe_b64encode(hashlib.sha256(t.encode()).digest()) for n, t in files.items()}
    record = "".join(
        f"{n},sha256={digest.decode().rstrip('=')},{len(files[n])}\n" for n, digest in digests.items()
    )
    with zipfile.ZipFile(folder / f"{name}-1.0-py3-none-any.whl", "w") as wheel:
        for file_name, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            wheel.writestr(file_name, text)


def pip(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    options = ["--dry-run", "--no-index", "--find-links", str(folder), "--target", str(folder / "t")]
    command = [sys.executable, "-m", "pip", "install", "--disable-pip-version-check", *options, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_constraints_keep_tensorrt_and_torch_out_and_let_others_in(tmp_path: Path) -> None:
    for name in ("torch", "tensorrt", "harmless"):
        make_wheel(tmp_path, name)
    constraints = ["--constraint", str(JETSON / "constraints.txt")]
    assert pip(tmp_path, "torch", "tensorrt").returncode == 0
    assert pip(tmp_path, *constraints, "harmless").returncode == 0
    for name in ("torch", "tensorrt"):
        refused = pip(tmp_path, *constraints, name)
        assert refused.returncode != 0
        assert name in refused.stderr


def test_constraints_cover_what_the_check_looks_for() -> None:
    text = (JETSON / "constraints.txt").read_text(encoding="utf-8")
    forbidden = {line.split("<")[0] for line in text.splitlines() if line and not line.startswith("#")}
    assert forbidden >= set(NOT_FROM_PIP)
    assert "opencv-python-headless" not in forbidden


def test_verify_tells_pips_tensorrt_from_jetpacks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    system, venv = tmp_path / "usr", tmp_path / "venv"
    for folder in (system, venv):
        (folder / "tensorrt").mkdir(parents=True)
        (folder / "tensorrt" / "__init__.py").touch()
    monkeypatch.setattr(sys, "path", [str(system)])
    assert check_tensorrt(venv).holds
    monkeypatch.setattr(sys, "path", [str(venv), str(system)])
    assert not check_tensorrt(venv).holds
    monkeypatch.setattr(sys, "path", [])
    assert "python3-libnvinfer" in check_tensorrt(venv).detail


def test_verify_finds_intruders_in_the_environment_only(tmp_path: Path) -> None:
    system, venv = tmp_path / "usr", tmp_path / "venv"
    for folder, name in ((system, "torch"), (system, "tensorrt"), (venv, "numpy"), (venv, "tensorrt_cu12")):
        info = folder / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Name: {name}\nVersion: 1.0\n", encoding="utf-8")
    check = check_intruders(venv, list(metadata.distributions(path=[str(system), str(venv)])))
    assert not check.holds
    assert check.detail.startswith("tensorrt-cu12 must not")
    assert check_intruders(venv, list(metadata.distributions(path=[str(system)]))).holds


@pytest.mark.parametrize("path", CONTAINERFILES, ids=lambda path: path.name)
def test_containerfiles_use_jetpacks_tensorrt_and_check_it(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "python3-libnvinfer" in text
    assert "venv --system-site-packages" in text
    assert "--constraint jetson/constraints.txt" in text
    assert "emorec_jetson.verify" in text
    release = next(line for line in text.splitlines() if line.startswith("ARG L4T_RELEASE=")).split("=r")[1]
    assert JETPACKS[release].containerfile == path.name


@pytest.mark.skipif(tool("hadolint") is None, reason="hadolint is not installed")
def test_hadolint() -> None:
    subprocess.run([str(tool("hadolint")), *map(str, CONTAINERFILES)], check=True)


def parse_unit(path: Path) -> dict[str, list[tuple[str, str]]]:
    """Sections of a unit; a key may come more than once."""
    sections: dict[str, list[tuple[str, str]]] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = sections.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            key, found, value = line.partition("=")
            assert found, line
            section.append((key, value))
    return sections


def test_camera_unit_restarts_logs_and_is_confined() -> None:
    service = dict(parse_unit(JETSON / "emorec-camera@.service")["Service"])
    assert service["Restart"] == "always"
    assert service["StandardError"] == "journal"
    assert service["User"] == "emorec"
    for key in ("NoNewPrivileges", "ProtectHome", "ProtectKernelModules", "RestrictSUIDSGID"):
        assert service[key] == "yes"
    assert service["ProtectSystem"] == "strict"
    assert service["ExecStart"].endswith("emorec-rt ${EMOREC_SOURCE} --out - $EMOREC_OPTIONS")


def test_health_unit_restarts_a_camera_that_hangs() -> None:
    service = dict(parse_unit(JETSON / "emorec-camera-health@.service")["Service"])
    assert "emorec_jetson.health %i --rows /var/log/emorec/%i.jsonl" in service["ExecStart"]
    assert "try-restart emorec-camera@%i.service" in service["ExecStopPost"]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        for program in ("emorec-rt", "python"):
            text = text.replace(f"/opt/emorec/venv/bin/{program}", "/bin/true")
        (tmp_path / unit.name.replace("@.", "@video0.")).write_text(text, encoding="utf-8")
    units = sorted(map(str, tmp_path.iterdir()))
    command = ["systemd-analyze", "verify", "--man=no", *units]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Unknown" not in done.stderr


def test_nothing_runs_as_root_in_a_folder_of_the_service_user() -> None:
    """Links that the user has put there would lead root anywhere."""
    service = parse_unit(JETSON / "emorec-camera@.service")["Service"]
    as_root = [value for key, value in service if key.startswith("Exec") and value.startswith("+")]
    written = [dict(service)["StandardOutput"], *as_root]
    folders = ("StateDirectory", "LogsDirectory", "RuntimeDirectory")  # they belong to the service's user
    assert all("/var/log/emorec/" in line and "chown" not in line for line in written)
    assert not [value for key, value in service if key in folders]
    setup = (JETSON / "setup.sh").read_text(encoding="utf-8")
    assert '--owner=root --group=emorec --mode=750 "$logs"' in setup


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", sorted(JETSON.glob("*.service")), ids=lambda path: path.name)
def test_systemd_rates_the_units_as_safe(unit: Path, tmp_path: Path) -> None:
    text = unit.read_text(encoding="utf-8")
    for program in ("emorec-rt", "python"):
        text = text.replace(f"/opt/emorec/venv/bin/{program}", "/bin/true")
    copy = tmp_path / unit.name.replace("@.", "@video0.")
    copy.write_text(text, encoding="utf-8")
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=30", "--no-pager", str(copy)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "offline" in done.stderr:
        pytest.skip("this systemd rates running units only")
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_rows_are_rotated_where_the_service_writes_them() -> None:
    text = (JETSON / "emorec-camera.logrotate").read_text(encoding="utf-8")
    assert "/var/log/emorec/*.jsonl {" in text
    assert "copytruncate" in text


def test_wheels_for_a_newer_glibc_are_not_asked_for() -> None:
    tags = platforms(35)
    assert tags[0] == "manylinux_2_35_aarch64"
    assert "manylinux_2_36_aarch64" not in tags
    assert tags[-2:] == ["manylinux_2_17_aarch64", "manylinux2014_aarch64"]


@pytest.mark.parametrize(
    ("file_name", "glibc_minor"),
    [
        ("numpy-2.2.6-cp310-cp310-manylinux_2_17_aarch64.manylinux2014_aarch64.whl", 17),
        ("pillow-12.3.0-cp310-cp310-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl", 27),
        ("protobuf-7.36.2-cp310-abi3-manylinux2014_aarch64.whl", 17),
        ("click-8.5.1-py3-none-any.whl", None),
    ],
)
def test_a_wheels_name_says_what_it_needs(file_name: str, glibc_minor: int | None) -> None:
    wheel = wheel_of("x", "1", f"https://files.example/packages/{file_name}#sha256=0")
    assert (wheel.file_name, wheel.glibc_minor) == (file_name, glibc_minor)


def test_the_check_covers_the_runtime_on_both_pythons() -> None:
    requirements = runtime_requirements(ROOT / "pyproject.toml")
    assert any(one.startswith("av") for one in requirements)
    assert any(one.startswith("onnxruntime") for one in requirements)
    assert [target.python for target in TARGETS] == ["3.10", "3.12"]
    assert all(target.requirements.is_file() for target in TARGETS)


def test_the_newcomers_path_is_short() -> None:
    """From clone to camera in at most five commands, on the page and in the order that works."""
    page = (ROOT / "docs" / "jetson.md").read_text(encoding="utf-8")
    block = page.partition("## From nothing to a camera")[2].partition("```sh\n")[2].partition("```")[0]
    commands = [line.partition(" #")[0].strip() for line in block.splitlines() if line.strip()]
    assert 0 < len(commands) <= 5
    assert commands[0].startswith("git clone")
    assert commands[1] == "jetson/setup.sh"
    assert commands[-1].startswith("emorec-rt /dev/video0")
