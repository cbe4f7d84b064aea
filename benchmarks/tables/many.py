"""Tables of many files and many machines."""

from __future__ import annotations

from collections.abc import Sequence

from tables.layout import Result, limit, measured, named

MILLION = 1_000_000


def folders(result: Result) -> str:
    """Calls on many files."""
    head = ["call", "done", "failed", "skipped", "exit code", "time", "times real time"]
    rows = (
        [
            c["name"],
            c["done"],
            c["failed"],
            c["skipped"],
            c["exit_code"],
            f"{c['wall_seconds']:.1f} s",
            f"{c['media_seconds'] / c['wall_seconds']:.1f}",
        ]
        for c in result["calls"]
    )
    return measured(head, rows, result, f"{result['files']} files of {result['seconds_each']:g} s. ")


def cluster(result: Result) -> str:
    """Two workers of Ray beside two processes."""
    bound = limit(f"<= {result['limits']['ratio']}", result["ratio"])
    rows = [
        ["`--jobs 2`", _seconds(result["jobs_seconds"]), ""],
        ["two workers of Ray, its start included", _seconds(result["ray_seconds"]), ""],
        ["the second beside the first", f"{result['ratio']:.2f}x", bound],
        ["two workers, one of them killed half-way", f"{result['killed_seconds']:.0f} s", ""],
        ["results that differ", "none" if result["same"] else "some", "none"],
    ]
    clips = f"{result['clips']} clips of {result['seconds_each']:g} s"
    load = f"load {result['load']:g} before the first"
    note = f"{clips}; calls in turn, on a machine with other work ({load}). "
    return measured(["call", "time", "limit"], rows, result, note)


def _seconds(figures: Sequence[float]) -> str:
    return ", ".join(f"{figure:.0f} s" for figure in figures)


def million_hours(result: Result) -> str:
    """Machine-hours for a million hours of video, from measured speeds."""
    files, contenders = result["folders"], result["throughput"]["contenders"]
    one = named(files["calls"], "--jobs 1")
    speeds = {
        "default bundle": one["media_seconds"] / one["wall_seconds"],
        **{
            f"full size, {name.removeprefix('emorec ')}": found["times_real_time"]
            for name, found in contenders.items()
            if name.startswith("emorec") and "skipped" not in found
        },
    }
    rows = ([name, f"{speed:.1f}", f"{MILLION / speed:,.0f}"] for name, speed in speeds.items())
    return measured(["model", "times real time", "machine-hours"], rows, files)
