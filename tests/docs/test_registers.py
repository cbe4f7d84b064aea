"""What is added in one file is named in every register that people see, and nowhere else."""

from __future__ import annotations

import re

import click
import pytest

from commands import emorec_rt, program
from emorec_rt.cli.doctor.checks import examine
from emorec_rt.engines import AUTO, BACKENDS, describe
from emorec_rt.media.sources.opening import _OPENERS
from emorec_rt.writers import FORMATS
from emorec_train.data.datasets.registry import KINDS
from emorec_train.settings.presets import PRESETS
from pages import ROOT, rows, section


def option(command: click.Command, name: str) -> click.Option:
    return next(p for p in command.params if isinstance(p, click.Option) and name in p.opts)


def first_column(page: str, heading: str) -> set[str]:
    cells = [row[0] for row in rows(section(ROOT / "docs" / page, heading))]
    return {name for cell in cells for name in re.findall(r"`([^`]+)`", cell)}


def test_formats() -> None:
    choice = option(emorec_rt().commands["run"], "--format").type
    assert isinstance(choice, click.Choice)
    assert set(choice.choices) == FORMATS.keys(), "cli/run.py: --format"
    assert first_column("run.md", "Formats") == FORMATS.keys(), "docs/run.md: Formats"


def test_backends() -> None:
    shown = {
        finding.name.removeprefix("backend ") for finding in examine() if finding.name.startswith("backend ")
    }
    assert shown == BACKENDS.keys(), "cli/doctor/checks.py: _backends"
    text = option(emorec_rt().commands["run"], "--backend").help or ""
    assert all(name in text for name in (AUTO, *BACKENDS)), "cli/run.py: --backend"
    page = (ROOT / "docs" / "hardware.md").read_text(encoding="utf-8")
    table = [row for row in rows(page) if row[0].strip("`") in BACKENDS]
    listed, installs = [row[0].strip("`") for row in table], [row[2].replace("`", "") for row in table]
    assert listed == list(BACKENDS), "docs/hardware.md: the first table, in the order of BACKENDS"
    assert all(describe(name).install in text for name, text in zip(BACKENDS, installs, strict=True))


@pytest.mark.parametrize("scheme", _OPENERS)
def test_sources(scheme: str) -> None:
    page = section(ROOT / "docs" / "run.md", "Inputs")
    assert f"`{scheme}://" in page or f"`{scheme}:" in page, f"docs/run.md, Inputs: {scheme}"


def test_data_sets() -> None:
    text = option(program(ROOT / "train" / "run.py"), "--data").help or ""
    for name in KINDS:
        assert name in text, f"options.py: --data doesn't name {name}"
    assert first_column("train.md", "Data sets") == KINDS.keys(), "docs/train.md: Data sets"


def test_presets() -> None:
    options = section(ROOT / "docs" / "train.md", "Options")
    for name in PRESETS:
        assert f"`{name}`" in options, f"docs/train.md, Options, --preset: {name}"


def test_commands() -> None:
    names = {f"emorec-rt {name}" for name in emorec_rt().commands if name != "run"}
    listed = {" ".join(cell.split()[:2]) for cell in first_column("run.md", "Commands")}
    assert listed == names, "docs/run.md: Commands"
