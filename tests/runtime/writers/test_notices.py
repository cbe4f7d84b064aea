"""The model's notice goes wherever its results go."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from emorec_rt.constants import EXPRESSIONS
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers import FORMATS, Target
from emorec_rt.writers.overlay import Overlay
from emorec_rt.writers.plot import HEIGHT, plot

from .conftest import prediction, rows, write_all
from .test_tables import silent
from .test_timeline import PLOT_COLUMNS, curve, spooled

NOTICE = "A model for tests: it says nothing about people, and whoever believes it is mistaken"


def made(path: Path, source: Path, predictions: list[Prediction], notice: str = NOTICE) -> Path:
    write_all(FORMATS[path.suffix[1:]].make(Target(source, path, EXPRESSIONS, notice=notice)), predictions)
    return path


@pytest.mark.parametrize("suffix", ["svg", "srt", "vtt", "html", "json", "eaf"])
def test_text(tmp_path: Path, suffix: str) -> None:
    path = made(tmp_path / f"a.{suffix}", Path("nowhere.mp4"), rows([0.0, 0.5, 1.0]))
    words = set(path.read_text(encoding="utf-8").replace("<", " ").replace(">", " ").split())
    assert set(NOTICE.replace('"', "").split()[1:-1]) <= words


def test_a_subtitle_s_note_is_no_subtitle(tmp_path: Path) -> None:
    text = made(tmp_path / "a.srt", Path("nowhere.mp4"), rows([0.0, 0.5, 1.0])).read_text()
    first, second = text.split("\n\n")[:2]
    assert first == f"1\n00:00:00,000 --> 00:00:00,001\nNOTE {NOTICE}"
    assert second.startswith("2\n00:00:00,000 --> 00:00:01,500\n")


def test_video(tmp_path: Path, clip) -> None:
    source = clip("talk.mkv", [0.0, 0.04, 0.08], size=(360, 480))
    with_notice = made(tmp_path / "a.mp4", source, rows([0.0, 0.04, 0.08]))
    without = made(tmp_path / "b.mp4", source, rows([0.0, 0.04, 0.08]), "")
    with av.open(str(with_notice)) as one, av.open(str(without)) as other:
        assert one.metadata["comment"] == NOTICE
        assert "comment" not in other.metadata
        assert one.streams.video[0].height > other.streams.video[0].height


def test_a_timeline_grows_by_the_notice() -> None:
    thinned = curve(*spooled(rows([0.0, 0.04])), PLOT_COLUMNS)
    assert plot(thinned, EXPRESSIONS, "talk").height == HEIGHT
    assert plot(thinned, EXPRESSIONS, "talk", notice="word " * 60).height == HEIGHT + 3 * 15


def test_bars_of_nobody_are_empty() -> None:
    overlay = Overlay(EXPRESSIONS, 480, 640)
    strips = np.zeros((2, overlay.panel_height, 640, 3), np.uint8)
    overlay.fill(strips[0], prediction(0, 0.0))
    overlay.fill(strips[1], silent(prediction(0, 0.0)))
    assert (strips[1] > 0).sum() < (strips[0] > 0).sum() / 4
