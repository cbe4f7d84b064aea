"""Lines of ``tegrastats``: memory, load, temperatures and power rails.

The line has no fixed columns: each module and release prints its own set of fields, so every field is looked
for by its own pattern and may be absent. Formats that have been published, and that the tests cover:

- Orin Nano and NX: ``VDD_IN 17946mW/15710mW`` (now/mean since start), ``GR3D_FREQ 84%@[713]``
- AGX Orin: no ``VDD_IN``; ``VDD_GPU_SOC``, ``VDD_CPU_CV``, ``VIN_SYS_5V0``; sensors that are off read -256 C
- the first Jetson Nano: ``POM_5V_IN 2545/2547``, without the unit
- Thor, Jetson Linux 38: no ``GR3D_FREQ``; an idle ``VDD_GPU`` may read below zero
- Thor, Jetson Linux 39: ``VIN 124486mW/36487mW/124486mW`` (now/mean/peak), ``cpu@58.25C/61.75C``, ``GR3D_FREQ
  @[1574,1574,1574]`` when the load is not known

Fields: https://docs.nvidia.com/jetson/archives/r36.5/DeveloperGuide/AT/JetsonLinuxDevelopmentTools/TegrastatsUtility.html
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

PowerScope = Literal["board", "module", "rails"]

_RAM = re.compile(r"\bRAM (\d+)/(\d+)MB")
_SWAP = re.compile(r"\bSWAP (\d+)/(\d+)MB")
_CPU = re.compile(r"\bCPU \[([^\]]*)\]")
_GPU = re.compile(r"\bGR3D_FREQ (?:(\d+)%)?(?:@\[?(\d+))?")
_TEMPERATURE = re.compile(r"\b([A-Za-z]\w*)@(-?\d+(?:\.\d+)?)C\b")
_RAIL = re.compile(r"\b([A-Z][A-Z0-9_]*) (-?\d+)mW(?:/(-?\d+)mW)?|\b(POM_\w+) (\d+)/(\d+)\b")
_SENSOR_OFF_CELSIUS = -100.0
"""A sensor in a powered-down part reads -256 C."""

_INPUTS: tuple[tuple[str, PowerScope], ...] = (
    ("VIN", "board"),  # Thor developer kit: INA238 at the carrier's input
    ("VDD_IN", "module"),  # Orin Nano, Orin NX, Xavier NX
    ("POM_5V_IN", "module"),  # the first Jetson Nano
)
_NOT_ADDED = frozenset({"NC", "VDDQ_VDD2_1V8AO"})
"""NC is not connected; VDDQ_VDD2_1V8AO (AGX Orin, before release 36) is taken to be fed by VIN_SYS_5V0."""


@dataclass(frozen=True)
class Rail:
    """One power rail.

    Attributes:
        now_mw: Power at the sample in milliwatts; slightly negative on an idle, uncalibrated rail.
        mean_mw: Mean since tegrastats started, where it prints one.
    """

    now_mw: int
    mean_mw: int | None = None


@dataclass(frozen=True)
class Power:
    """Power drawn in all.

    Attributes:
        watts: At the sample.
        scope: ``board``: with the carrier board; ``module``: the module's input; ``rails``: sum of rails.
        rails: Names that make it up.
    """

    watts: float
    scope: PowerScope
    rails: tuple[str, ...]


@dataclass(frozen=True)
class Stats:
    """One line; a field that the line lacks is ``None`` or empty.

    Attributes:
        ram_used_mib: Memory in use, the GPU's included (it is shared).
        ram_total_mib: Memory that Linux manages.
        swap_used_mib: Swap in use.
        cpu_percent: Load of each core; ``None`` for a core that is off.
        gpu_percent: Load of the GPU.
        gpu_mhz: Clock of the GPU's first cluster.
        celsius: Temperature by sensor name in lower case; sensors that are off are left out.
        rails: Power rails by name.
    """

    ram_used_mib: int | None = None
    ram_total_mib: int | None = None
    swap_used_mib: int | None = None
    cpu_percent: tuple[int | None, ...] = ()
    gpu_percent: int | None = None
    gpu_mhz: int | None = None
    celsius: dict[str, float] = field(default_factory=dict)
    rails: dict[str, Rail] = field(default_factory=dict)

    @property
    def power(self) -> Power | None:
        """Power drawn in all, from the widest measurement that the line has."""
        for name, scope in _INPUTS:
            if name in self.rails:
                return Power(self.rails[name].now_mw / 1000, scope, (name,))
        added = {name: rail for name, rail in self.rails.items() if name not in _NOT_ADDED}
        if not added:
            return None
        return Power(sum(rail.now_mw for rail in added.values()) / 1000, "rails", tuple(added))

    @property
    def hottest(self) -> tuple[str, float] | None:
        """Name and temperature in degrees Celsius of the hottest sensor."""
        if not self.celsius:
            return None
        return max(self.celsius.items(), key=lambda item: item[1])


def parse(line: str) -> Stats | None:
    """Read one line; ``None`` when nothing in it is known (a warning, an empty line)."""
    ram, swap = _RAM.search(line), _SWAP.search(line)
    gpu = _GPU.search(line)
    stats = Stats(
        ram_used_mib=_integer(ram, 1),
        ram_total_mib=_integer(ram, 2),
        swap_used_mib=_integer(swap, 1),
        cpu_percent=_cores(line),
        gpu_percent=_integer(gpu, 1),
        gpu_mhz=_integer(gpu, 2),
        celsius=_temperatures(line),
        rails=_rails(line),
    )
    return None if stats == Stats() else stats


def _integer(match: re.Match[str] | None, group: int) -> int | None:
    return int(match[group]) if match and match[group] is not None else None


def _cores(line: str) -> tuple[int | None, ...]:
    match = _CPU.search(line)
    if not match:
        return ()
    loads = (re.match(r"(\d+)%", core.strip()) for core in match[1].split(","))
    return tuple(_integer(load, 1) for load in loads)


def _temperatures(line: str) -> dict[str, float]:
    found = ((name.lower(), float(value)) for name, value in _TEMPERATURE.findall(line))
    return {name: value for name, value in found if value > _SENSOR_OFF_CELSIUS}


def _rails(line: str) -> dict[str, Rail]:
    found = (match.groups() for match in _RAIL.finditer(line))
    return {
        name or old_name: Rail(int(now or old_now), int(mean or old_mean) if mean or old_mean else None)
        for name, now, mean, old_name, old_now, old_mean in found
    }
