"""Results of a measurement as JSON and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from emorec_jetson.measure import ModeResult
from emorec_rt.machine.jetson.module import Module

HEADER = ("mode", "frames/s", "x real time", "W mean", "W idle", "J / video s", "max C", "throttled")


def to_json(module: Module, video: Path, results: Sequence[ModeResult]) -> dict[str, Any]:
    """Everything that was measured, and what it was measured on."""
    return {
        "date": datetime.now(timezone.utc).date().isoformat(),
        "module": asdict(module),
        "video": video.name,
        "modes": [_mode_json(result) for result in results],
    }


def _mode_json(result: ModeResult) -> dict[str, Any]:
    record: dict[str, Any] = {"mode": asdict(result.mode), "skipped": result.skipped}
    if result.speed is None or result.load is None:
        return record
    return {
        **record,
        "frames_per_second": result.speed.frames_per_second,
        "times_real_time": result.speed.times_real_time,
        "joules_per_video_second": result.joules_per_video_second,
        "idle_watts": result.idle_watts,
        "load": asdict(result.load),
        "program": result.speed.details,
    }


def to_table(results: Sequence[ModeResult]) -> str:
    """A row for each mode, columns aligned."""
    rows = [HEADER, *(_row(result) for result in results)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows]
    notes = [f"mode {r.mode.number} ({r.mode.name}): skipped, {r.skipped}" for r in results if r.skipped]
    return "\n".join([*lines, *notes, *_scope_note(results)])


def _row(result: ModeResult) -> tuple[str, ...]:
    name = f"{result.mode.number} {result.mode.name}"
    if result.speed is None or result.load is None:
        return (name, *["-"] * (len(HEADER) - 1))
    throttled = {None: "unknown", False: "no", True: "; ".join(result.load.throttle_causes)}
    return (
        name,
        f"{result.speed.frames_per_second:.1f}",
        f"{result.speed.times_real_time:.2f}",
        _figure(result.load.mean_watts, 2),
        _figure(result.idle_watts, 2),
        _figure(result.joules_per_video_second, 3),
        _figure(result.load.max_celsius, 1),
        throttled[result.load.throttled],
    )


def _figure(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _scope_note(results: Sequence[ModeResult]) -> list[str]:
    meaning = {
        "board": "watts: the whole board, at the carrier's input",
        "module": "watts: the module, without its carrier board",
        "rails": "watts: sum of the module's measured rails, without the carrier board",
    }
    scopes = {result.load.power_scope for result in results if result.load and result.load.power_scope}
    return [meaning[scope] for scope in sorted(scopes)]
