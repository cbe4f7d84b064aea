"""The program that makes the default model: it says in a line what it lacks, and makes nothing twice."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import program
from emorec_rt.bundle.folder import open_bundle
from emorec_train.model.checkpoint import FILE_NAME
from emorec_train.model.sound_folder import read_sound_encoder
from emorec_train.model.stills_files import load_stills
from emorec_train.training.sound_encoder import ARCHITECTURE
from pages import ROOT
from people_material import tiny_preset, write_encoders, write_material

MAKE = program(ROOT / "export" / "make_default.py")


@pytest.fixture
def material(tmp_path: Path) -> Path:
    return write_material(tmp_path / "data")


def make(data: Path, out: Path, *arguments: str) -> tuple[int, list[str]]:
    done = CliRunner().invoke(MAKE, ["--data", str(data), "--out", str(out), *arguments])
    return done.exit_code, done.stderr.splitlines()


def test_a_folder_that_lacks_something(material: Path, tmp_path: Path) -> None:
    (material / "speech" / "manifest.csv").unlink()
    code, lines = make(material, tmp_path / "out")
    assert code == 2
    assert len(lines) == 1
    assert "speech/manifest.csv isn't there" in lines[0]


def test_voices_without_a_teacher(material: Path, tmp_path: Path) -> None:
    code, lines = make(material, tmp_path / "out", "--stage", "voices")
    assert code == 2
    assert "give --teacher" in lines[-1]


def test_stages_that_are_done_are_skipped(
    material: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("emorec_train.settings.presets.find_preset", lambda _: tiny_preset(2))
    out = tmp_path / "out"
    write_encoders(out)
    stages = ("--stage", "pictures", "--stage", "voices", "--stage", "fusion")
    assert make(material, out, *stages)[0] == 0
    made = (out / "fusion" / FILE_NAME).stat().st_mtime_ns
    code, lines = make(material, out, *stages)
    assert code == 0
    assert (out / "fusion" / FILE_NAME).stat().st_mtime_ns == made
    assert [line for line in lines if line.endswith("minutes")]


def test_the_encoders_of_the_package_need_no_training(material: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    stages = ("--stage", "pictures", "--stage", "voices")
    code, lines = make(material, out, "--shipped-encoders", *stages)
    assert code == 0, lines
    assert load_stills(out / "pictures").file.labels == open_bundle().manifest.labels
    assert read_sound_encoder(out / "voices")[1].audio == ARCHITECTURE
