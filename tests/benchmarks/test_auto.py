"""``auto`` beside every backend: limits, turns, and a cache of the benchmark's own."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import auto
import pytest

from emorec_rt.bundle import open_bundle
from emorec_rt.machine.seal import user_cache


def case(**changes: Any) -> auto.Case:
    speeds = {"openvino": 5.0, "onnxruntime": 4.9}
    known = {"bundle": "random", "precision": "int8", "taken": "onnxruntime", "speeds": speeds}
    return auto.Case(**{**known, "measuring_seconds": 3.0, "first_row_seconds": (9.0, 4.0), **changes})


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, []),
        ({"speeds": {"openvino": 5.0, "onnxruntime": 4.8}}, ["random int8: speed beside the best"]),
        ({"measuring_seconds": 5.5}, ["random int8: choosing, once"]),
        ({"first_row_seconds": (4.0, 6.0)}, ["random int8: first row, second run"]),
    ],
)
def test_limits(changes: dict[str, Any], missed: list[str]) -> None:
    tried = case(**changes)
    assert [figure.name for figure in tried.figures if not figure.holds] == missed
    assert auto.show(tried).count("MISSED") == len(missed)


def test_backends_take_turns_after_a_warm_up(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    def seconds(name: str) -> float:
        order.append(name)
        return 100.0 if len(order) <= 2 else {"openvino": 2.0, "onnxruntime": 4.0}[name]

    monkeypatch.setattr(auto, "working_backends", lambda: ["openvino", "onnxruntime"])
    monkeypatch.setattr(auto, "load", lambda _, backend, **_options: backend)
    monkeypatch.setattr(auto, "_clip_seconds", seconds)
    assert auto.speeds(None, "int8", 3, 8.0) == {"openvino": 4.0, "onnxruntime": 2.0}
    assert order == ["openvino", "onnxruntime"] * 4


def test_auto_takes_one_of_the_backends_that_are_timed() -> None:
    taken, seconds = auto.choice(open_bundle(), "fp32")
    assert taken in auto.working_backends()
    assert seconds < auto.MOST_MEASURING_SECONDS


def test_both_runs_share_a_cache_that_nobody_else_has(monkeypatch: pytest.MonkeyPatch) -> None:
    caches = []

    def run(arguments: list[str]) -> SimpleNamespace:
        assert "--precision" in arguments
        caches.append(user_cache())
        return SimpleNamespace(first_row_seconds=float(len(caches)))

    before = dict(os.environ)
    monkeypatch.setattr(auto, "run", run)
    assert auto.first_rows(None, "int8", 1) == (1.0, 2.0)
    assert caches[0] == caches[1] != user_cache()
    assert dict(os.environ) == before


def test_every_precision_of_every_bundle_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auto, "measure", lambda folder, precision, *_: (folder, precision))
    assert list(auto.cases([None], 1, 1.0)) == [(None, "fp32"), (None, "int8")]
