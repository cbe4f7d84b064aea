"""The CPU's name, and its instructions that decide how fast 8-bit products are."""

from __future__ import annotations

import platform
from functools import lru_cache
from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")
DOT_PRODUCTS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Flags of x86 CPUs that multiply and add 8-bit numbers in one instruction."""


def has_int8_dot_products(cpuinfo: Path = CPUINFO) -> bool | None:
    """Say whether the CPU has 8-bit dot products; ``None`` where that can't be told (no Linux, no x86)."""
    flags = cpu_flags(cpuinfo)
    return bool(flags & DOT_PRODUCTS) if flags else None


def cpu_flags(cpuinfo: Path = CPUINFO) -> frozenset[str]:
    """Instruction sets of the CPU, as Linux names them; empty where that can't be told."""
    return frozenset(_first(cpuinfo, "flags").split())


def cpu_name(cpuinfo: Path = CPUINFO) -> str:
    """The CPU's model, or its architecture where that can't be told."""
    return _first(cpuinfo, "model name") or platform.processor() or platform.machine() or "unknown processor"


@lru_cache(maxsize=8)
def _first(cpuinfo: Path, name: str) -> str:
    """The first value of a name; empty without one."""
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as file:
            pairs = (line.partition(":") for line in file)
            return next((value.strip() for key, _, value in pairs if key.strip() == name), "")
    except OSError:
        return ""
