"""CONTRIBUTING.md: its tree is the repository's, and every command of its tables is one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from commands import check, commands
from pages import ROOT, Block, rows, section

PAGE = ROOT / "CONTRIBUTING.md"
UNLISTED = {"__init__.py", "__pycache__", "py.typed"}

_PATH = re.compile(r"[\w.@-]+(?:/[\w.@-]+)*/?")


def tree() -> list[str]:
    """Paths of the tree, a slash after those of folders."""
    block = re.search(r"```\n(.*?)```", section(PAGE, "The tree"), re.S)
    assert block is not None
    found: list[str] = []
    folder = ""
    for line in block[1].splitlines():
        nested = line.startswith("  ")
        names = _names(line.strip()) if not line.startswith("      ") else []
        if names and not nested:
            folder = names[0] if names[0].endswith("/") else ""
        found += [f"{folder}{name}" if nested else name for name in names]
    return found


def _names(line: str) -> list[str]:
    names = []
    for word in line.split():
        if not _PATH.fullmatch(word) or not ("." in word or "/" in word or word in ("LICENSE", "NOTICE")):
            break
        names.append(word)
    return names


def test_everything_in_the_tree_is_there() -> None:
    for path in tree():
        assert (ROOT / path).exists(), f"{path} is in the tree of CONTRIBUTING.md and nowhere else"


@pytest.mark.parametrize("package", ["runtime/emorec_rt", "train/emorec_train"])
def test_every_room_is_in_the_tree(package: str) -> None:
    listed = {path.rstrip("/") for path in tree()}
    for path in sorted((ROOT / package).iterdir()):
        name = path.relative_to(ROOT).as_posix()
        if path.name not in UNLISTED and not path.name.startswith("."):
            assert name in listed, f"add a line about {name} to the tree in CONTRIBUTING.md"


def test_folders_at_the_top() -> None:
    tops = {path.split("/")[0] for path in tree()}
    for package in ("runtime", "train", "calibration", "export", "jetson", "benchmarks", "tests", "docs"):
        assert package in tops


def _number_commands() -> list[str]:
    cells = [row[1] for row in rows(section(PAGE, "Every number and the command that prints it"))]
    return [command for cell in cells for command in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize("line", _number_commands())
def test_commands_that_print_numbers(line: str) -> None:
    for shown in commands(Block("CONTRIBUTING.md", 0, "sh", line, "minutes")):
        check(shown)


def test_every_benchmark_has_a_line_and_a_section() -> None:
    numbers = " ".join(_number_commands())
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    for path in _benchmarks():
        assert f"benchmarks/{path.name}" in numbers, (
            f"CONTRIBUTING.md: add the number that {path.name} prints"
        )
        assert f"benchmarks/{path.name}" in page, f"docs/benchmarks.md: add a section about {path.name}"


def _benchmarks() -> list[Path]:
    found = sorted((ROOT / "benchmarks").glob("*.py"))
    return [
        path
        for path in found
        if re.search(r"(?<!\.)\bsave\(", path.read_text()) and path.name != "machine.py"
    ]
