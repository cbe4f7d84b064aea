"""The samples in docs/run.md look as the formats look; the digits may differ."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from commands import emorec_rt
from emorec_rt.signal import EXPRESSIONS
from pages import ROOT, blocks

SAMPLES = {
    block.language: block.text
    for block in blocks(ROOT / "docs" / "run.md", "txt", "csv", "json", "srt", "vtt")
}
SUFFIX = {"json": "jsonl"}


def shape(line: str) -> str:
    """The line with a 0 for each number and one name for all classes; a header keeps its names."""
    if line.startswith(("frame,", "image_location,")):
        return line
    value = re.compile(rf'(?<=[,":])({"|".join(EXPRESSIONS)})(?=[",])(?!":)|^({"|".join(EXPRESSIONS)}) ')
    return re.sub(r"\d+(\.\d+)?", "0", value.sub("LABEL ", line))


@pytest.mark.parametrize("language", SAMPLES)
def test_sample(language: str, stage: Path, tmp_path: Path) -> None:
    out = tmp_path / f"demo.{SUFFIX.get(language, language)}"
    clip = str(stage / "examples" / "demo.mp4")
    assert CliRunner().invoke(emorec_rt(), [clip, "--quiet", "--out", str(out)]).exit_code == 0
    written = {shape(line) for line in out.read_text(encoding="utf-8").splitlines()}
    for line in SAMPLES[language].splitlines():
        assert shape(line) in written


def test_every_text_format_has_a_sample() -> None:
    from emorec_rt.writers import FORMATS

    assert {SUFFIX.get(name, name) for name in SAMPLES} == {
        name for name, made in FORMATS.items() if made.text
    }
