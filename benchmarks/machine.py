"""The machine of a measurement, written beside every number."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec

RESULTS = Path(__file__).parent / "results"
EXTENSIONS = {
    "avx2": "AVX2",
    "asimddp": "dot products",
    "i8mm": "i8mm",
    "avx_vnni": "AVX-VNNI",
    "avx512_vnni": "AVX512-VNNI",
    "amx_int8": "AMX",
}
"""Extensions by the flag of /proc/cpuinfo, weakest first."""

PACKAGES = ("numpy", "av", "opencv-python-headless", "onnxruntime", "openvino", "torch")


def describe() -> dict[str, Any]:
    """Processor, cores, memory, system and library versions."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "cpu": _cpu_name(),
        "isa": extensions(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": {name: found for name in PACKAGES if (found := _version(name))},
    }


def machine_id() -> str:
    """Short name of this kind of machine: who made the processor, and its strongest extension."""
    vendor = "amd" if "AMD" in _cpu_name() else "intel" if "Intel" in _cpu_name() else platform.machine()
    return "-".join([vendor, *extensions()[-1:]]).lower().replace(" ", "-")


def extensions() -> list[str]:
    """Instruction sets of this machine on which the speed of INT8 and FP16 depends, the strongest last."""
    flags = {word for line in _cpuinfo() if line.startswith(("flags", "Features")) for word in line.split()}
    return [words for flag, words in EXTENSIONS.items() if flag in flags]


def save(name: str, result: dict[str, Any], *, by_machine: bool = False) -> Path:
    """Write a result with the machine's description into ``benchmarks/results``.

    Args:
        name: Of the measurement.
        result: Its figures.
        by_machine: Keep it beside those of other kinds of machines, as ``NAME.MACHINE.json``: for speeds, and
            for what depends on how the processor computes 8 bits.
    """
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / (f"{name}.{machine_id()}.json" if by_machine else f"{name}.json")
    record = {"machine": describe(), **result}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=2) + b"\n")
    return path


def _cpu_name() -> str:
    for line in _cpuinfo():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def _cpuinfo() -> list[str]:
    return Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
