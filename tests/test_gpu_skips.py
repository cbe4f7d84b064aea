"""The skip of GPU tests itself: it says why, and a variable turns it into a failure."""

from __future__ import annotations

import pytest
from _pytest.outcomes import Failed, Skipped

import gpu
from backends import change


@pytest.fixture(autouse=True)
def missing(monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch, "tensorrt", unavailable=lambda: "no GPU")


@pytest.mark.parametrize("value", ["", "onnxruntime-cuda", "0"])
def test_it_skips_with_a_reason(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpu.VARIABLE, value)
    with pytest.raises(Skipped, match="no GPU; EMOREC_REQUIRE_GPU=1 makes this a failure"):
        gpu.need("tensorrt")


@pytest.mark.parametrize("value", ["1", "tensorrt", "onnxruntime-cuda,tensorrt"])
def test_it_fails_where_it_has_to_run(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpu.VARIABLE, value)
    with pytest.raises(Failed, match="no GPU"):
        gpu.need("tensorrt")


def test_what_works_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    change(monkeypatch, "tensorrt", unavailable=lambda: None)
    try:
        gpu.need("tensorrt")
    except (Skipped, Failed) as reason:
        raise AssertionError("neither skipped nor failed") from reason
