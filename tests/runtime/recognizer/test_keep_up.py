"""``--keep-up`` for files, on a clock that the vision encoder moves, and the line where no pace will do."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest

import emorec_rt
from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import Variant
from emorec_rt.recognizer import recognizer as module
from emorec_rt.recognizer.advice import advice
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer
from emorec_rt.windows.pace import IDLE_ITEMS, LONGEST_STRETCH, Pace
from emorec_rt.windows.prediction import Prediction

DEMO = Path(__file__).parents[3] / "examples" / "demo.mp4"
FPS = 25


class Clock:
    """Seconds that pass when a frame is encoded."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def recognized(monkeypatch: pytest.MonkeyPatch, load: float, keep_up: float) -> list[Prediction]:
    """Rows on a machine whose vision encoder takes ``load`` seconds for a second of the input."""
    clock = Clock()
    monkeypatch.setattr(module, "Pace", partial(Pace, now=clock))
    recognizer = emorec_rt.load(face="off", backend="onnxruntime", batch_size=1, threads=1, keep_up=keep_up)
    vision = recognizer.engine("vision")
    run = vision.run

    def slow(feeds: Any) -> Any:
        clock.seconds += load / FPS * len(feeds["frames"])
        return run(feeds)

    monkeypatch.setattr(vision, "run", slow)
    return list(recognizer.stream(DEMO))


@pytest.fixture(scope="module")
def exact() -> list[Prediction]:
    return list(emorec_rt.load(face="off", backend="onnxruntime", batch_size=1, threads=1).stream(DEMO))


def test_a_file_that_is_fast_enough_is_exact_but_for_the_flag(
    monkeypatch: pytest.MonkeyPatch, exact: list[Prediction]
) -> None:
    rows = recognized(monkeypatch, 0.7, 1.0)
    assert [row.interpolated for row in exact] == [None] * len(exact)
    assert [row.interpolated for row in rows] == [False] * len(exact)
    for one, other in zip(exact, rows, strict=True):
        assert {**other.to_dict(), "interpolated": None} == {**one.to_dict(), "interpolated": None}


@pytest.mark.parametrize(("load", "keep_up"), [(3.0, 1.0), (1.5, 2.0)])
def test_a_file_that_is_too_slow_leaves_frames_out_and_says_which(
    monkeypatch: pytest.MonkeyPatch, exact: list[Prediction], load: float, keep_up: float
) -> None:
    rows = recognized(monkeypatch, load, keep_up)
    assert [(row.index, row.time_seconds, row.face) for row in rows] == [
        (row.index, row.time_seconds, row.face) for row in exact
    ]
    encoded = sum(row.interpolated is False for row in rows)
    assert 0.15 * len(exact) < encoded < 0.45 * len(exact)


def test_a_machine_that_can_not_keep_up_is_told_once_what_would_take_less(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        recognized(monkeypatch, 100.0, 1.0)
    lines = [line for line in caplog.messages if "can't keep up" in line]
    assert len(lines) == 1
    assert lines[0].startswith(f"{DEMO}: ")


def larger(bundle: Bundle, times: int) -> Bundle:
    """The bundle's manifest with weights that much larger."""
    graphs = {
        name: msgspec.structs.replace(
            graph,
            variants={
                precision: Variant(
                    file=variant.file, sha256=variant.sha256, size_bytes=times * variant.size_bytes
                )
                for precision, variant in graph.variants.items()
            },
        )
        for name, graph in bundle.manifest.graphs.items()
    }
    return Bundle(bundle.folder, msgspec.structs.replace(bundle.manifest, graphs=graphs))


def test_advice_names_what_there_is() -> None:
    default, pace = open_bundle(), Pace()
    assert "sound comes too late" in advice(default, Options(), "openvino", pace)
    pace.stretch = LONGEST_STRETCH
    assert "one frame in 16 encoded; try --precision int8" in advice(
        default, Options(precision="fp32"), "openvino", pace
    )
    small = advice(default, Options(precision="int8"), "openvino", pace)
    assert small.endswith("nothing smaller is there: it takes a faster machine")
    line = advice(larger(default, 100), Options(faces="all", precision="fp32"), "openvino", pace)
    assert "--faces main" in line
    assert "or the default model (" in line
    assert "int8" not in advice(larger(default, 100), Options(precision="fp32"), "tensorrt", pace)


def test_advice_where_pictures_are_late_by_themselves() -> None:
    pace = Pace()
    for _ in range(IDLE_ITEMS + 1):
        pace.note(0.0, 1.0, newest=True)
    assert "smaller pictures" in advice(open_bundle(), Options(), "openvino", pace)


def test_a_live_source_always_has_a_pace_and_a_file_where_asked() -> None:
    recognizer = Recognizer(open_bundle(), Options(face="off", backend="onnxruntime"))
    assert recognizer._pace(live=True) is not None
    assert recognizer._pace(live=False) is None
