"""ELAN and Praat files, as libraries of those who use these tools read them."""

from __future__ import annotations

import xml.etree.ElementTree as ET  # the documents are our own
from dataclasses import replace
from pathlib import Path

import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.writers import FORMATS, OutputOptions, Target
from emorec_rt.writers.tiers import EafFormat, TextGridFormat

from .conftest import prediction, write_all
from .test_tables import GAP, NOTICE, TALK, written

ODD = 'say "no" & <go>'


def test_elan(tmp_path: Path) -> None:
    elan = pytest.importorskip("pympi")
    eaf = elan.Eaf(str(written("eaf", GAP, tmp_path, min_segment_seconds=0.1)))
    assert list(eaf.get_tier_names()) == ["emotion"]
    assert [item[:3] for item in sorted(eaf.get_annotation_data_for_tier("emotion"))] == [
        (0, 1200, "Neutral"),
        (2400, 3000, "Anger"),
        (3000, 4000, "Neutral"),
    ]
    assert NOTICE in dict(eaf.properties).values()


def test_elan_finds_the_video_beside(tmp_path: Path, clip) -> None:
    source = clip("talk one.mp4", [0.0, 0.04])
    path = tmp_path / "out" / "talk.eaf"
    write_all(FORMATS["eaf"].make(Target(source, path, EXPRESSIONS)), TALK[:2])
    media = ET.parse(path).find("HEADER/MEDIA_DESCRIPTOR")
    assert media is not None
    assert media.get("RELATIVE_MEDIA_URL") == "./../in/talk%20one.mp4"


def test_elan_ids_are_unique_and_names_escaped(tmp_path: Path) -> None:
    format_ = EafFormat(Target(Path("a.mp4"), tmp_path / "a.eaf", (ODD, "b")))
    probabilities = TALK[0].probabilities[:2]
    rows = [replace(TALK[0], label=ODD, probabilities=probabilities, labels=(ODD, "b"))]
    document = ET.fromstring("".join([format_.header(), *map(format_.row, rows), format_.end()]))
    assert document.findtext(".//ANNOTATION_VALUE") == ODD
    names = [item.get("TIME_SLOT_ID") for item in document.iter("TIME_SLOT")]
    assert len(names) == len(set(names)) == 2


def test_praat(tmp_path: Path) -> None:
    textgrid = pytest.importorskip("textgrid")
    grid = textgrid.TextGrid.fromFile(str(written("TextGrid", GAP, tmp_path, min_segment_seconds=0.1)))
    tier = grid.getFirst("emotion")
    assert [(item.minTime, item.maxTime, item.mark) for item in tier] == [
        (0, 1.2, "Neutral"),
        (1.2, 2.4, ""),
        (2.4, 3.0, "Anger"),
        (3.0, 4.0, "Neutral"),
    ]
    assert grid.maxTime == 4.0


@pytest.mark.parametrize("labels", [(ODD, "b"), ("é", "b")])
def test_praat_quotes(tmp_path: Path, labels: tuple[str, ...]) -> None:
    textgrid = pytest.importorskip("textgrid")
    path = tmp_path / "a.TextGrid"
    row = replace(TALK[0], label=labels[0], probabilities=TALK[0].probabilities[:2], labels=labels)
    write_all(FORMATS["TextGrid"].make(Target(Path("a.mp4"), path, labels, OutputOptions())), [row])
    assert textgrid.TextGrid.fromFile(str(path)).getFirst("emotion")[0].mark.replace('""', '"') == labels[0]


def test_no_rows_are_still_a_document(tmp_path: Path) -> None:
    target = Target(Path("a.mp4"), tmp_path / "a", EXPRESSIONS)
    assert "intervals: size = 1" in TextGridFormat(target).end()
    assert ET.fromstring(EafFormat(target).end()).findall("TIER/ANNOTATION") == []


def test_late_container_starts_at_zero(tmp_path: Path, clip) -> None:
    times = [7.3 + 0.04 * i for i in range(25)]
    source = clip("late.mkv", times)
    path = tmp_path / "late.eaf"
    rows = [prediction(i, time) for i, time in enumerate(times)]
    write_all(FORMATS["eaf"].make(Target(source, path, EXPRESSIONS)), rows)
    slots = [int(item.get("TIME_VALUE", "-1")) for item in ET.parse(path).iter("TIME_SLOT")]
    assert slots == [0, 1000]
