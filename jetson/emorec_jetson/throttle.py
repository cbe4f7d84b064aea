"""Throttling: over-current events and cooling devices, from sysfs.

Orin counts over-current events in ``soctherm_oc`` (``oc1`` under-voltage, ``oc2`` mean, ``oc3`` instantaneous
over-current). Cooling devices report a state above zero while they hold clocks down; fans are cooling devices
too and don't count.

https://docs.nvidia.com/jetson/archives/r36.5/DeveloperGuide/SD/PlatformPowerAndPerformance/JetsonOrinNanoSeriesJetsonOrinNxSeriesAndJetsonAgxOrinSeries.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ThrottleState:
    """Reasons that hold the clocks down at one moment.

    Attributes:
        events: Over-current events since start-up by name (``oc1`` ...); empty where there is no counter.
        cooling: State of each cooling device by name and number; empty where there is none.
    """

    events: dict[str, int]
    cooling: dict[str, int]

    @property
    def readable(self) -> bool:
        """Say whether this system tells anything about throttling."""
        return bool(self.events or self.cooling)

    @property
    def active(self) -> set[str]:
        """Cooling devices that hold clocks down."""
        return {name for name, state in self.cooling.items() if state > 0}

    def new_events(self, earlier: ThrottleState) -> dict[str, int]:
        """Over-current events that came since ``earlier``; only those above zero."""
        fresh = {name: count - earlier.events.get(name, 0) for name, count in self.events.items()}
        return {name: count for name, count in fresh.items() if count > 0}


def read_throttle(root: Path = Path("/")) -> ThrottleState:
    """Read all counters under ``root``; what can't be read is left out."""
    events = {
        path.name.split("_")[0]: count
        for path in sorted(root.glob("sys/class/hwmon/hwmon*/oc*_event_cnt"))
        if (count := _number(path)) is not None
    }
    return ThrottleState(events, dict(_cooling(root)))


def _cooling(root: Path) -> Iterator[tuple[str, int]]:
    for folder in sorted(root.glob("sys/class/thermal/cooling_device*")):
        state = _number(folder / "cur_state")
        kind = _text(folder / "type")
        if state is not None and kind and "fan" not in kind.lower():
            yield f"{kind}.{folder.name.removeprefix('cooling_device')}", state


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdigit() else None
