"""The Jetson at hand: module, Jetson Linux release, JetPack, memory, clocks."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from emorec_rt.machine.jetson.errors import JetsonError

RELEASE = Path("etc/nv_tegra_release")
MODEL = Path("proc/device-tree/model")
_RELEASE = re.compile(r"R(\d+) \(release\), REVISION: (\d+(?:\.\d+)*)")
_CPU = "sys/devices/system/cpu/cpu[0-9]*/cpufreq"
_MEMORY = re.compile(r"^(MemTotal|MemAvailable):\s+(\d+) kB", re.MULTILINE)


@dataclass(frozen=True)
class JetPack:
    """Libraries of a JetPack release; TensorRT is never taken from elsewhere."""

    name: str
    ubuntu: str
    python: str
    cuda: str
    tensorrt: str
    modules: str
    containerfile: str | None


_JP6 = "Containerfile.jp6"
_JP7 = "Containerfile.jp7"
JETPACKS: dict[str, JetPack] = {
    "36.3": JetPack("6.0", "22.04", "3.10", "12.4", "8.6 or 10.0", "Orin", None),
    "36.4": JetPack("6.1 to 6.2.1", "22.04", "3.10", "12.6", "10.3", "Orin", _JP6),
    "36.5": JetPack("6.2.2", "22.04", "3.10", "12.6", "10.3", "Orin", _JP6),
    "38.2": JetPack("7.0", "24.04", "3.12", "13.0", "10.13.3", "Thor", _JP7),
    "38.4": JetPack("7.1", "24.04", "3.12", "13.0", "10.13.3", "Thor", _JP7),
    "39": JetPack("7.2", "24.04", "3.12", "13.2", "10.16.1 (11.4.1 from 7.2.2)", "Orin, Thor", _JP7),
}
"""By Jetson Linux release; the longest matching prefix counts."""


@dataclass(frozen=True)
class Memory:
    """Memory in MiB: all that Linux manages, and what is free for the asking."""

    total_mib: int
    available_mib: int


@dataclass(frozen=True)
class Module:
    """The machine.

    Attributes:
        model: As the device tree names it.
        l4t: Jetson Linux release, such as ``36.4.3``.
        jetpack: What that release brings; ``None`` for one that nobody has listed yet.
        memory: Memory now.
        cpu_mhz: Highest clock of each core that is online, under the present power mode.
        gpu_mhz: Highest clock of the GPU under the present power mode, where it can be read.
        clocks_held: Whether the lowest clock is the highest (``jetson_clocks``); ``None`` where unknown.
    """

    model: str
    l4t: str
    jetpack: JetPack | None
    memory: Memory
    cpu_mhz: tuple[int, ...]
    gpu_mhz: int | None
    clocks_held: bool | None = None


def parse_release(text: str) -> str:
    """Read ``/etc/nv_tegra_release``, such as ``36.4.3``.

    Raises:
        JetsonError: It doesn't look like one.
    """
    match = _RELEASE.search(text)
    if not match:
        raise JetsonError(f"{RELEASE} names no release: {text.strip()[:80]!r}")
    return f"{match[1]}.{match[2]}"


def jetpack_of(l4t: str) -> JetPack | None:
    """Find the JetPack of a Jetson Linux release."""
    parts = l4t.split(".")
    prefixes = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((JETPACKS[prefix] for prefix in prefixes if prefix in JETPACKS), None)


def read_memory(root: Path = Path("/")) -> Memory:
    """Read ``/proc/meminfo``."""
    found = dict(_MEMORY.findall(_read(root / "proc/meminfo")))
    total = int(found.get("MemTotal", 0)) // 1024
    return Memory(total, int(found.get("MemAvailable", 0)) // 1024)


def read_module(root: Path = Path("/")) -> Module:
    """Read everything under ``root``.

    Raises:
        JetsonError: Not a Jetson.
    """
    try:
        l4t = parse_release(_read(root / RELEASE))
    except OSError as error:
        raise JetsonError(f"{root / RELEASE}: {error.strerror}; is this a Jetson?") from error
    cpu_mhz = _clocks(root, f"{_CPU}/scaling_max_freq", 1000)
    lowest = _clocks(root, f"{_CPU}/scaling_min_freq", 1000)
    return Module(
        model=_read_or_empty(root / MODEL).strip("\0\n ") or "unknown module",
        l4t=l4t,
        jetpack=jetpack_of(l4t),
        memory=read_memory(root),
        cpu_mhz=cpu_mhz,
        gpu_mhz=next(iter(_clocks(root, "sys/class/devfreq/*[.-]g[pa]*/max_freq", 1_000_000)), None),
        clocks_held=lowest == cpu_mhz if lowest and cpu_mhz else None,
    )


def desktop_runs(root: Path = Path("/")) -> bool:
    """Say whether a graphical desktop is open: it takes memory."""
    return any(root.glob("tmp/.X11-unix/X*")) or any(root.glob("run/user/*/wayland-[0-9]*"))


def _clocks(root: Path, pattern: str, divisor: int) -> tuple[int, ...]:
    texts = (_read_or_empty(path).strip() for path in sorted(root.glob(pattern)))
    return tuple(int(text) // divisor for text in texts if text.isdigit())


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _read_or_empty(path: Path) -> str:
    try:
        return _read(path)
    except OSError:
        return ""
