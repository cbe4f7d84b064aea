"""One line on a camera's health, for a journal: fresh rows, memory, temperature, throttling, power mode.

    python -m emorec_jetson.health video0 --rows /var/log/emorec/video0.jsonl

Exit code 0 healthy, 1 not: no row for ``--stale-seconds`` (a camera that hangs writes none), or no rows file.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from emorec_jetson.throttle import read_throttle
from emorec_rt.machine.jetson import nvpmodel
from emorec_rt.machine.jetson.errors import JetsonError
from emorec_rt.machine.jetson.module import read_memory

STALE_SECONDS = 60.0


@dataclass(frozen=True)
class Health:
    """The line about a camera, and whether it counts as healthy."""

    healthy: bool
    line: str


def check(
    camera: str, rows: Path, *, now_seconds: float, stale_seconds: float, root: Path = Path("/")
) -> Health:
    """Look at the rows file and the machine.

    Args:
        camera: Name for the line.
        rows: File that the camera's rows are appended to.
        now_seconds: Time of day as ``time.time`` gives it.
        stale_seconds: Longest time without a new row that is still healthy.
        root: Where proc and sysfs are read.
    """
    try:
        age = max(now_seconds - rows.stat().st_mtime, 0.0)
    except OSError as error:
        return Health(False, f"health: {camera}: UNHEALTHY, {rows}: {error.strerror}; {_machine(root)}")
    healthy = age <= stale_seconds
    state = "healthy" if healthy else "UNHEALTHY"
    return Health(healthy, f"health: {camera}: {state}, last row {age:.0f} s ago; {_machine(root)}")


def _machine(root: Path) -> str:
    parts = [f"{read_memory(root).available_mib} MiB free"]
    celsius = hottest_celsius(root)
    if celsius is not None:
        parts.append(f"{celsius:.1f} C")
    if held := sorted(read_throttle(root).active):
        parts.append(f"clocks held down by {', '.join(held)}")
    try:
        parts.append(nvpmodel.current().name)
    except JetsonError:
        parts.append("power mode unknown")
    return ", ".join(parts)


def hottest_celsius(root: Path = Path("/")) -> float | None:
    """Highest temperature of all thermal zones that can be read."""
    zones = (_zone_celsius(path) for path in root.glob("sys/class/thermal/thermal_zone*/temp"))
    return max((celsius for celsius in zones if celsius is not None), default=None)


def _zone_celsius(path: Path) -> float | None:
    try:
        return int(path.read_text(encoding="utf-8")) / 1000
    except (OSError, ValueError):  # a zone of a powered-down part can't be read
        return None


def main() -> int:
    """Print the line; 0 when healthy."""
    parser = argparse.ArgumentParser(prog="python -m emorec_jetson.health", description="Health of a camera.")
    parser.add_argument("camera")
    parser.add_argument("--rows", type=Path, required=True, help="file that rows are appended to")
    parser.add_argument("--stale-seconds", type=float, default=STALE_SECONDS)
    given = parser.parse_args()
    health = check(given.camera, given.rows, now_seconds=time.time(), stale_seconds=given.stale_seconds)
    sys.stdout.write(health.line + "\n")
    return 0 if health.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
