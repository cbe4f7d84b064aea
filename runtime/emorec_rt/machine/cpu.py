"""Instructions of the CPU that decide how fast 8-bit products are."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final

DOT_PRODUCTS: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Flags of x86 CPUs that multiply and add 8-bit numbers in one instruction."""


def has_int8_dot_products(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool | None:
    """Say whether the CPU has 8-bit dot products; ``None`` where that can't be told (no Linux, no x86)."""
    flags = _flags(cpuinfo)
    return bool(flags & DOT_PRODUCTS) if flags else None


@lru_cache(maxsize=4)
def _flags(cpuinfo: Path) -> frozenset[str]:
    try:
        with cpuinfo.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                if name.strip() == "flags":
                    return frozenset(value.split())
    except OSError:
        pass
    return frozenset()
