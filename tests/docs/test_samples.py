"""The samples in docs/run.md look as the formats look; the digits may differ."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import emorec_rt
from emorec_rt.constants import EXPRESSIONS
from pages import ROOT, Block, blocks

PAGE = ROOT / "docs" / "run.md"
SUFFIX = {"json": "jsonl"}
HEADS = {"start_seconds,": "segments.csv"}


def _suffix(block: Block) -> str:
    named = (name for head, name in HEADS.items() if block.text.startswith(head))
    return next(named, SUFFIX.get(block.language, block.language))


SAMPLES = {_suffix(block): block.text for block in blocks(PAGE, "txt", "csv", "json", "srt", "vtt")}


def shape(line: str) -> str:
    """The line with a 0 for each number and one name for all classes; a header keeps its names."""
    if line.startswith(("frame,", "image_location,", "start_seconds,")):
        return line
    value = re.compile(rf'(?<=[,":])({"|".join(EXPRESSIONS)})(?=[",])(?!":)|^({"|".join(EXPRESSIONS)}) ')
    return re.sub(r"\d+(\.\d+)?", "0", value.sub("LABEL ", line))


@pytest.mark.parametrize("suffix", SAMPLES)
def test_sample(suffix: str, stage: Path, tmp_path: Path) -> None:
    out = tmp_path / f"demo.{suffix}"
    clip = str(stage / "examples" / "demo.mp4")
    assert CliRunner().invoke(emorec_rt(), [clip, "--quiet", "--out", str(out)]).exit_code == 0
    written = {shape(line) for line in out.read_text(encoding="utf-8").splitlines()}
    for line in SAMPLES[suffix].splitlines():
        assert shape(line) in written


def test_every_text_format_has_a_heading() -> None:
    from emorec_rt.writers import FORMATS

    headings = set(re.findall(r"[\w.]+", " ".join(re.findall(r"^### (.+)$", PAGE.read_text(), re.M))))
    assert {name for name, made in FORMATS.items() if made.text} <= headings
