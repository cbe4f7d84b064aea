"""Container files: clean by hadolint, not root, and what they copy is there."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pages import ROOT

FILES = [ROOT / "Containerfile", ROOT / "Containerfile.nvidia"]


def instructions(path: Path, name: str) -> list[str]:
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    return re.findall(rf"^{name} (.+)$", text, re.MULTILINE)


def hadolint() -> str | None:
    beside = Path(sys.executable).with_name("hadolint")
    return str(beside) if beside.exists() else shutil.which("hadolint")


@pytest.mark.skipif(hadolint() is None, reason="hadolint is not installed")
def test_hadolint() -> None:
    subprocess.run([str(hadolint()), *map(str, FILES)], check=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
class TestFile:
    def test_it_does_not_run_as_root(self, path: Path) -> None:
        user = instructions(path, "USER")[-1]
        assert int(user.partition(":")[0]) > 0

    def test_what_it_copies_is_there(self, path: Path) -> None:
        copied = [line.split()[:-1] for line in instructions(path, "COPY") if not line.startswith("--from")]
        for name in (name for names in copied for name in names):
            assert (ROOT / name).exists()

    def test_it_is_the_command_itself(self, path: Path) -> None:
        assert instructions(path, "ENTRYPOINT") == ['["emorec-rt"]']

    def test_its_extras_are_the_package_s(self, path: Path) -> None:
        extras = re.search(r"'\.\[([a-z,]+)\]'", path.read_text(encoding="utf-8"))
        assert extras
        project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
        for extra in extras[1].split(","):
            assert re.search(rf"^{extra} = \[", project, re.MULTILINE)
