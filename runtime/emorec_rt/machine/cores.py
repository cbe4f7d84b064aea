"""CPU cores that this process may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
OWN_CGROUP: Final = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """Cores of its affinity mask, or fewer where its container has a quota (cgroup v2 and v1).

    A container that is given two CPUs of sixty-four by ``docker run --cpus 2`` sees all of them; one thread
    for each would be stopped by the kernel most of the time.
    """
    mask = getattr(os, "sched_getaffinity", None)  # Linux alone has one
    cores = (os.cpu_count() or 1) if mask is None else len(mask(0))
    return max(min([cores, *(ceil(quota) for quota in _quotas())]), 1)


def _quotas() -> Iterator[float]:
    """CPUs that each group above this process may use, where there is a limit."""
    for folder in _groups():
        numbers = _numbers(folder / "cpu.max") or [
            *_numbers(folder / "cpu.cfs_quota_us"),
            *_numbers(folder / "cpu.cfs_period_us"),
        ]
        if len(numbers) == 2 and min(numbers) > 0:
            yield numbers[0] / numbers[1]


def _groups() -> Iterator[Path]:
    """Folders of its group and those above it; in a container, the first one is the whole mount."""
    yield from (CGROUPS, CGROUPS / "cpu")
    try:
        lines = OWN_CGROUP.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers in ("", "cpu", "cpu,cpuacct"):
            base, own = CGROUPS / controllers, Path(path.lstrip("/"))
            yield from (base / part for part in (own, *own.parents))


def _numbers(path: Path) -> list[int]:
    """The numbers of a file; without a limit, cgroup v2 says ``max`` and v1 -1."""
    try:
        words = path.read_text(encoding="utf-8").split()
    except OSError:
        return []
    return [int(word) for word in words] if all(word.isdecimal() for word in words) else []
