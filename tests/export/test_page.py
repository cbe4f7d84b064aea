"""The page holds the report's numbers and is well-formed."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import msgspec
import pytest

from emorec_export.bars import Bar, bars
from emorec_export.page import page, write_page
from emorec_export.report import LayerSensitivity, Report, warnings
from emorec_rt.bundle.manifest import Manifest
from emorec_rt.errors import OutputError
from reports import manifest_of, report_of

VOID = {"meta", "br"}


class _Checked(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:  # noqa: ARG002 - the base class's
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass


def _checked(text: str) -> str:
    parser = _Checked()
    parser.feed(text)
    parser.close()
    assert parser.open == []
    return text


@pytest.fixture
def manifest() -> Manifest:
    return manifest_of(name="x", notice="<b>odd</b> & notice")


def test_numbers_and_escapes(manifest: Manifest) -> None:
    text = _checked(page(manifest, report_of({"fp32": 2.0, "int8": 1.0}, change=-0.0042)))
    assert "&lt;b&gt;odd&lt;/b&gt; &amp; notice" in text
    assert "-0.0042" in text
    assert "99.50%" in text
    assert "3 of 9" in text
    assert "Sensitivity" not in text
    assert "class='warning'" not in text


def test_how_it_came_about(manifest: Manifest) -> None:
    record = {
        "command": "build_engine.py --int8 <x>",
        "training": {"command": "run.py --seed 0", "seed": 0},
        "versions": {"torch": "2.15.0"},
    }
    calibration = {"method": "max", "source": "media", "clips": 7, "samples": {"vision": 512, "audio": 64}}
    plain = _checked(page(msgspec.structs.replace(manifest, provenance=record), report_of({"fp32": 1.0})))
    assert "build_engine.py --int8 &lt;x&gt;" in plain
    assert "run.py --seed 0" in plain
    assert "torch 2.15.0" in plain
    assert "calibrated on" not in plain
    record["calibration"] = calibration
    text = _checked(page(msgspec.structs.replace(manifest, provenance=record), report_of({"fp32": 1.0})))
    assert "7 recordings by max; samples: vision 512, audio 64" in text


def test_ranking(manifest: Manifest) -> None:
    layers = tuple(
        LayerSensitivity(
            graph="vision", layer=f"layer<{i}>", cosine=0.9, divergence=1.0 - i / 60, quantized=i > 1
        )
        for i in range(60)
    )
    report = msgspec.structs.replace(report_of({"fp32": 2.0, "int8": 1.0}), sensitivity=layers)
    text = _checked(page(manifest, report))
    assert text.count('class="keep"') == 2
    assert "58 of 60 layers are in INT8" in text
    assert "vision: layer&lt;0&gt;" in text


def test_warns_where_int8_does_not_pay(manifest: Manifest) -> None:
    slow = report_of({"fp32": 2.0, "fp16": 1.0, "int8": 1.5})
    told = [line.split(" with")[0] for line in warnings(slow) if "faster" in line]
    assert told == ["int8 is no faster than fp16"]
    assert "class='warning'" in page(manifest, slow)
    assert list(warnings(report_of({"fp32": 2.0, "int8": 1.5}))) == []
    assert not list(warnings(report_of({"int8": 1.5})))


def test_bars_are_in_proportion() -> None:
    chart = _checked(bars("t", [Bar("a", 2.0, "2"), Bar("b" * 80, 1.0, "1"), Bar("c", 0.0, "0")]))
    assert 'width="350.0"' in chart
    assert 'width="175.0"' in chart
    assert "…" in chart
    assert _checked(bars("none", []))


def test_unwritable(manifest: Manifest, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="can't be written"):
        write_page(manifest, report_of({"fp32": 1.0}), tmp_path / "file" / "report.html")


def test_the_report_survives_json() -> None:
    report: Report = report_of({"fp32": 1.0, "int8": 2.0})
    assert msgspec.json.decode(msgspec.json.encode(report), type=Report) == report
