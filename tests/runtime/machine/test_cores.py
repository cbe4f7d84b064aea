"""Cores that a process may use, as containers limit them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emorec_rt.machine import cores
from emorec_rt.machine.cores import usable_cores


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty control group file system, on a machine of eight cores."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))
    monkeypatch.setattr(cores, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(cores, "OWN_CGROUP", tmp_path / "own")
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_without_a_quota_the_affinity_counts(cgroups: Path) -> None:
    assert usable_cores() == 8
    write(cgroups / "cpu.max", "max 100000\n")
    assert usable_cores() == 8


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("200000 100000", 2), ("150000 100000", 2), ("5000 100000", 1), ("9900000 100000", 8), ("nonsense", 8)],
)
def test_a_container_of_the_second_version(cgroups: Path, quota: str, expected: int) -> None:
    write(cgroups / "cpu.max", quota)
    assert usable_cores() == expected


def test_a_group_above_the_process(cgroups: Path, tmp_path: Path) -> None:
    write(tmp_path / "own", "0::/system.slice/emorec.service\n")
    write(cgroups / "system.slice" / "cpu.max", "300000 100000")
    write(cgroups / "system.slice" / "emorec.service" / "cpu.max", "max 100000")
    assert usable_cores() == 3


def test_a_container_of_the_first_version(cgroups: Path) -> None:
    write(cgroups / "cpu" / "cpu.cfs_quota_us", "400000\n")
    write(cgroups / "cpu" / "cpu.cfs_period_us", "100000\n")
    assert usable_cores() == 4
    write(cgroups / "cpu" / "cpu.cfs_quota_us", "-1\n")
    assert usable_cores() == 8
