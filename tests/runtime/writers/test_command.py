"""``emorec-rt`` with several results, as a process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from emorec_rt.bundle import DEFAULT_FOLDER
from emorec_rt.writers import FORMATS

from .test_text import environment

COMMAND = (sys.executable, "-c", "from emorec_rt.cli import main; main()")


@pytest.fixture(autouse=True)
def default_bundle() -> None:
    if not (DEFAULT_FOLDER / "manifest.json").is_file():
        pytest.skip(f"there is no default bundle in {DEFAULT_FOLDER}")


@pytest.fixture
def talk(clip) -> Path:
    source: Path = clip("talk.mkv", [0.04 * i for i in range(50)], sound_codec="aac", sound_seconds=2.0)
    return source


def test_several_results_in_one_call(tmp_path: Path, talk: Path) -> None:
    names = ["p.txt", "p.srt", "annotated.mp4", "timeline.png", "timeline.svg"]
    outs = [part for name in names for part in ("-o", str(tmp_path / name))]
    done = subprocess.run(
        [*COMMAND, str(talk), *outs, "-o", "-"],
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 50
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*names, "in"])


def test_a_reader_that_leaves_ends_it_quietly(talk: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, str(talk), "-q"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_help_tells_the_formats() -> None:
    done = subprocess.run([*COMMAND, "--help"], capture_output=True, text=True, check=True, env=environment())
    shown = "".join(done.stdout.split())
    assert f"[{'|'.join(FORMATS)}]" in shown
