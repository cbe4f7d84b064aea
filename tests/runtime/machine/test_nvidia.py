# ruff: noqa: ARG005 - doubles take what the real ones take
"""Asking the driver for a GPU, with a driver that says what the test wants."""

from __future__ import annotations

import ctypes
from types import SimpleNamespace
from typing import Any

import pytest

from emorec_rt.machine import nvidia


@pytest.fixture(autouse=True)
def fresh() -> Any:
    nvidia.no_gpu.cache_clear()
    yield
    nvidia.no_gpu.cache_clear()


def driver(init: int, count: int, error: int = 0) -> SimpleNamespace:
    def get_count(pointer: Any) -> int:
        ctypes.cast(pointer, ctypes.POINTER(ctypes.c_int))[0] = count
        return error

    return SimpleNamespace(cuInit=lambda flags: init, cuDeviceGetCount=get_count)


@pytest.mark.parametrize(
    ("variable", "count", "expected"),
    [
        (None, 3, ("0", "1", "2")),
        ("", 2, ("0", "1")),
        ("2, 0", 2, ("2", "0")),
        ("GPU-8a56b7,MIG-1", 2, ("GPU-8a56b7", "MIG-1")),
        ("0,1", 0, ()),
    ],
)
def test_gpus_that_processes_can_be_spread_over(
    variable: str | None, count: int, expected: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia.ctypes, "CDLL", lambda name: driver(0, count))
    monkeypatch.delenv(nvidia.VISIBLE_GPUS, raising=False)
    if variable is not None:
        monkeypatch.setenv(nvidia.VISIBLE_GPUS, variable)
    assert nvidia.visible_gpus() == expected


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        (driver(0, 2), None),
        (driver(0, 0), "the driver finds none"),
        (driver(100, 0), "the driver finds none"),
        (driver(804, 0), "too old"),
        (driver(999, 0), "CUDA error 999"),
        (driver(0, 1, error=3), "the driver finds none"),
    ],
)
def test_the_driver_is_asked(
    answers: SimpleNamespace, reason: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nvidia.ctypes, "CDLL", lambda name: answers)
    found = nvidia.no_gpu()
    assert found is reason or (reason is not None and reason in str(found))


def test_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvidia, "DRIVER", "libthere-is-no-such-driver.so.1")
    assert nvidia.no_gpu() == "there is no NVIDIA driver (libthere-is-no-such-driver.so.1)"


def test_the_real_driver_agrees_with_the_cuda_runtime() -> None:
    """Without a driver both say so; with one, both find its GPUs."""
    runtime = pytest.importorskip("cuda.bindings.runtime")
    error, count = runtime.cudaGetDeviceCount()
    there = error == runtime.cudaError_t.cudaSuccess and count > 0
    assert (nvidia.no_gpu() is None) == there
