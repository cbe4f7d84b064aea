"""Every option of every program is on its page."""

from __future__ import annotations

from pathlib import Path

import pytest

from commands import emorec_rt, options, program, programs
from emorec_ray.command import command
from pages import ROOT

PAGE_OF_FOLDER = {
    "train": "docs/train.md",
    "export": "docs/export.md",
    "calibration": "docs/export.md",
    "jetson": "docs/jetson.md",
}
PAGE_OF_COMMAND = {"build": "docs/hardware.md", "serve": "docs/serve.md"}
"""Commands of ``emorec-rt`` that have another page than docs/run.md."""

ANYWHERE = {"export/make_default.py"}
"""Programs that only those who work on the project run; ``--help`` and CONTRIBUTING.md do for them."""


@pytest.mark.parametrize("path", programs(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_programs(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    if name in ANYWHERE:
        assert name in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    else:
        _assert_listed(name, options(program(path)), PAGE_OF_FOLDER[path.parent.name])


@pytest.mark.parametrize("name", sorted(emorec_rt().commands))
def test_commands(name: str) -> None:
    page = PAGE_OF_COMMAND.get(name, "docs/run.md")
    _assert_listed(f"emorec-rt {name}", options(emorec_rt().commands[name]), page)


def test_the_cluster() -> None:
    here = set(options(command)) - set(options(emorec_rt().commands["run"]))
    _assert_listed("emorec-rt-ray", sorted({*here, "--out-dir", "--gpus"}), "docs/scale.md")


def _assert_listed(name: str, names: list[str], page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    assert name.removesuffix(" run") in text, f"{page} says nothing about {name}"
    missing = [option for option in names if f"`{option}`" not in text and f"`{option} " not in text]
    assert not missing, (
        f"{name} has options that {page} doesn't mention: {', '.join(missing)}; add a row each"
    )
