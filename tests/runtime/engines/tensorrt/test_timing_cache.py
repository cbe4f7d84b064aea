"""Kernel timings on disk: whole, or as if there were none."""

from __future__ import annotations

from pathlib import Path

import pytest

from emorec_rt.engines.tensorrt import timing_cache


@pytest.mark.parametrize("timings", [b"", b"x", bytes(range(256)) * 300])
def test_timings_come_back(tmp_path: Path, timings: bytes) -> None:
    path = tmp_path / "timings.cache"
    timing_cache.write(path, timings)
    assert timing_cache.read(path) == timings
    assert [entry.name for entry in tmp_path.iterdir()] == ["timings.cache"]


def test_none_are_none(tmp_path: Path) -> None:
    assert timing_cache.read(tmp_path / "absent") == b""


@pytest.mark.parametrize("position", [0, 5, 22, 40, 60, -1])
def test_a_flipped_bit_discards_them_and_says_so(
    tmp_path: Path, position: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "timings.cache"
    timing_cache.write(path, b"timings" * 10)
    damaged = bytearray(path.read_bytes())
    damaged[position] ^= 1
    path.write_bytes(damaged)
    assert timing_cache.read(path) == b""
    assert [record.message for record in caplog.records] == [f"{path}: is damaged; kernels are timed again"]


@pytest.mark.parametrize("length", [0, 10, 40, 60])
def test_a_torn_file_discards_them(tmp_path: Path, length: int) -> None:
    path = tmp_path / "timings.cache"
    timing_cache.write(path, b"timings" * 10)
    path.write_bytes(path.read_bytes()[:length])
    assert timing_cache.read(path) == b""


def test_a_folder_that_takes_no_file_costs_only_a_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    timing_cache.write(tmp_path / "file" / "timings.cache", b"timings")
    assert "can't be written (File exists)" in caplog.text
