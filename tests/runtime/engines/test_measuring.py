"""``auto`` by measurement: what is timed, what is kept, and what happens to a library that fails."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from emorec_rt import engines
from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.engines import choose_backend, contest, kept_answer, measuring
from emorec_rt.engines.measuring import Measured

pytest.importorskip("openvino")
CPU = ("openvino", "onnxruntime")


@pytest.fixture
def bundle() -> Bundle:
    return open_bundle()


@pytest.fixture
def timed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[dict[str, float | str]]]:
    """Answers that the libraries give, in turn, with a bundle that is large enough, and an empty cache."""
    answers: list[dict[str, float | str]] = []
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(measuring, "SMALL_BYTES", 0)
    monkeypatch.setattr(measuring, "rates", lambda *_: answers.pop(0))
    monkeypatch.setattr(engines, "_automatic", lambda: iter(CPU))
    yield answers
    assert not answers


def chosen(bundle: Bundle) -> str:
    return choose_backend("auto", bundle, measure=True)


def test_the_faster_library_is_taken_and_kept(
    bundle: Bundle, timed: list[dict[str, float | str]], caplog: pytest.LogCaptureFixture
) -> None:
    timed.append({"openvino": 11.8, "onnxruntime": 24.1})
    assert [chosen(bundle), chosen(bundle)] == ["onnxruntime", "onnxruntime"]
    (line,) = caplog.messages
    assert line.startswith(
        "auto: openvino 12 pictures/s, onnxruntime 24 pictures/s with default here; kept in"
    )
    answer = kept_answer(bundle)
    assert answer is not None
    assert answer.rates["onnxruntime"] == 24.1
    assert list(measuring.kept_answers()) == [answer]


def test_a_busy_moment_is_measured_anew(bundle: Bundle, timed: list[dict[str, float | str]]) -> None:
    timed += [{"openvino": contest.TOO_LONG, "onnxruntime": 2.0}, {"openvino": 1.0, "onnxruntime": 2.0}]
    assert [chosen(bundle) for _ in range(3)] == ["openvino", "onnxruntime", "onnxruntime"]


def test_a_library_that_always_takes_too_long_is_tried_once_a_day(
    bundle: Bundle, timed: list[dict[str, float | str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed += [{"openvino": contest.TOO_LONG, "onnxruntime": 2.0}] * (measuring.MOST_TRIES + 1)
    assert {chosen(bundle) for _ in range(5)} == {"openvino"}
    assert len(timed) == 1
    monkeypatch.setattr(measuring, "DAY_SECONDS", 0.0)
    chosen(bundle)


def test_another_machine_is_measured_anew(
    bundle: Bundle, timed: list[dict[str, float | str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    timed += [{"openvino": 1.0, "onnxruntime": 2.0}, {"openvino": 2.0, "onnxruntime": 1.0}]
    assert chosen(bundle) == "onnxruntime"
    monkeypatch.setattr(measuring, "cpu_name", lambda: "another")
    assert chosen(bundle) == "openvino"
    assert len(list(measuring.kept_answers())) == 1


def test_a_broken_answer_is_measured_anew(
    bundle: Bundle, timed: list[dict[str, float | str]], tmp_path: Path
) -> None:
    timed += [{"openvino": 1.0, "onnxruntime": 2.0}] * 2
    chosen(bundle)
    (path,) = (tmp_path / "cache/emorec/auto").iterdir()
    path.write_text("{")
    assert list(measuring.kept_answers()) == []
    assert chosen(bundle) == "onnxruntime"


def test_a_cache_that_cannot_be_written_stops_nothing(
    bundle: Bundle, timed: list[dict[str, float | str]], tmp_path: Path
) -> None:
    timed += [{"openvino": 1.0, "onnxruntime": 2.0}] * 2
    (tmp_path / "cache").write_text("a file")
    assert [chosen(bundle), chosen(bundle)] == ["onnxruntime", "onnxruntime"]


def test_without_measuring_the_table_decides(bundle: Bundle, timed: list[dict[str, float | str]]) -> None:
    assert not timed
    assert choose_backend("auto", bundle) == "openvino"
    assert kept_answer(bundle) is None


@pytest.mark.parametrize(
    ("openvino", "onnxruntime", "first"),
    [
        ("ended by signal 11", 3.0, "onnxruntime"),
        (3.0, "failed", "openvino"),
        (contest.TOO_LONG, 3.0, "openvino"),  # nobody knows
        ("failed", "failed", "openvino"),
    ],
)
def test_a_library_that_fails_comes_last(openvino: float | str, onnxruntime: float | str, first: str) -> None:
    rates = {"openvino": openvino, "onnxruntime": onnxruntime}
    answer = Measured(machine={}, bundle="", graph="", threads=1, rates=rates)
    assert answer.reordered(CPU)[0] == first


def test_the_shipped_bundle_is_too_small_to_be_timed(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "rates", None)
    assert chosen(bundle) in engines.BACKENDS


def test_real_libraries_have_rates(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "LOAD_SECONDS", 60.0)
    monkeypatch.setattr(contest, "RUN_SECONDS", 60.0)
    paths = {name: bundle.graph_file("vision", "fp32") for name in CPU}
    paths["nothing"] = paths["openvino"]
    found = contest.rates(paths, bundle.manifest.graphs["vision"], 1)
    assert all(isinstance(found[name], float) and found[name] > 0.0 for name in CPU)
    assert found["nothing"] == "failed"


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("kill -SEGV $$", "ended by signal 11"),
        ("exec sleep 60", contest.TOO_LONG),
        ("", "failed"),
        ("echo a notice; exec sleep 60", "failed"),
        ("exec 1>&-; exec sleep 60", "failed"),
    ],
)
def test_a_process_that_dies_or_hangs_is_told(
    does: str, told: str, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text(f"#!/bin/sh\n{does}\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(contest, "LOAD_SECONDS", 0.5)
    paths = {"openvino": bundle.graph_file("vision", "fp32")}
    assert contest.rates(paths, bundle.manifest.graphs["vision"], 1) == {"openvino": told}


def test_libraries_that_load_slowly_share_the_time(
    bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "python"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(contest, "LOAD_SECONDS", 1.0)
    paths = dict.fromkeys(CPU, bundle.graph_file("vision", "fp32"))
    begun = time.monotonic()
    assert set(contest.rates(paths, bundle.manifest.graphs["vision"], 1).values()) == {contest.TOO_LONG}
    assert time.monotonic() - begun < 1.8
