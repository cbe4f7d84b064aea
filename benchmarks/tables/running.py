"""Tables of what the runtime does: start-up, speed, live sources, pages, damage."""

from __future__ import annotations

from tables.layout import (
    NOT_MEASURED,
    Result,
    bundle_line,
    cpu_line,
    figures,
    limit,
    measured,
    named,
    table,
    unknown_line,
)

FIRST_RUN = ("first row after start", "demo clip, engines loaded", "peak memory")


FULL_SIZE = ("against PyTorch, each window anew", "speed")


def demo(result: Result) -> str:
    """Output of the first command."""
    return f"```\n{result['transcript']}\n```"


def speed(results: Result) -> str:
    """The figures that a newcomer asks for, one of each thing, from several measurements."""
    first, full, live = (results[name] for name in ("first_run", "throughput", "live"))
    start, pace, peak = (named(first["figures"], name) for name in FIRST_RUN)
    eager, own = (named(full["ratios"], name) for name in FULL_SIZE)
    rows = [
        ["first row after the program's start", f"{start['value']:.1f} s", cpu_line(first)],
        ["default model, the clip above", f"{pace['value']:.0f} x real time", cpu_line(first)],
        ["its peak memory", f"{peak['value']:.0f} MiB", cpu_line(first)],
        ["a camera's row behind its frame, 95th percentile", f"{live['p95_seconds']:.1f} s", cpu_line(live)],
        ["the paper's model at full size, INT8", f"{own['value']:.1f} x real time", cpu_line(full)],
        ["the same beside PyTorch", f"{eager['value']:.0f} x as fast", cpu_line(full)],
    ]
    return f"{table(['', 'measured', 'on'], rows)}\n\n{unknown_line((first, full, live))}".rstrip()


def first_run(result: Result) -> str:
    """Start-up, speed, memory."""
    return figures(bundle_line(result), result["figures"], result)


def live(result: Result) -> str:
    """Delay of a row behind its frame."""
    limits = result["limits"]
    rows = [
        ["frames sent", result["sent"], ""],
        ["rows lost", result["lost"], limit(f"<= {limits['lost']}", result["lost"])],
        ["delay of a row, median", f"{result['p50_seconds']:.2f} s", ""],
        [
            "delay, 95th percentile",
            f"{result['p95_seconds']:.2f} s",
            limit(f"<= {limits['p95_seconds']:g}", result["p95_seconds"]),
        ],
        ["longest delay", f"{result['max_seconds']:.2f} s", ""],
    ]
    return measured(
        [f"{result['seconds'] / 60:.0f} minutes, {bundle_line(result)}", "measured", "limit"], rows, result
    )


def keep_up(result: Result) -> str:
    """Agreement with exact mode at each load."""
    head = [
        "clips",
        "source",
        "load",
        "rows",
        "same label",
        "frames encoded",
        "age of a row, 95th percentile",
    ]
    rows = (
        [
            f["clips"],
            f["source"],
            f"{f['load']:g}x",
            f["rows"],
            f"{100 * f['agreement']:.1f} %",
            f"{100 * f['encoded_share']:.0f} %",
            "" if f["p95_seconds"] is None else f"{f['p95_seconds']:.1f} s",
        ]
        for f in result["loads"]
    )
    return measured(head, rows, result)


def keep_up_live(result: Result) -> str:
    """Age of live rows at full size, and agreement at the same skipping."""
    run, limits = result["live"], result["limits"]
    if run is None:
        return NOT_MEASURED
    p95, agreement = f"<= {limits['p95_seconds']:g}", f">= {limits['agreement']:g}"
    rows = [
        ["load average before", f"{run['load_average']:.1f}", ""],
        ["frames sent", run["sent"], ""],
        ["rows lost", run["lost"], ""],
        ["rows interpolated", f"{100 * run['interpolated_share']:.0f} %", ""],
        ["rows with sound", f"{100 * run['heard_share']:.0f} %", ""],
        ["delay of a row, median", f"{run['p50_seconds']:.2f} s", ""],
        ["delay, 95th percentile", f"{run['p95_seconds']:.2f} s", limit(p95, run["p95_seconds"])],
        *(
            [
                f"same label, {f['clips']} clips, {100 * f['encoded_share']:.0f} % of the frames encoded",
                f"{f['agreement']:.3f}",
                limit(agreement, f["agreement"]) if f["clips"] == "real" else "",
            ]
            for f in result["steady"]
        ),
    ]
    head = [f"{run['minutes']:g} minutes, {' '.join(run['arguments'])}", "measured", "limit"]
    return measured(head, rows, result)


def fast_modes(result: Result) -> str:
    """Agreement, speed and frames encoded, by mode."""
    head = ["clips", "mode", "rows", "same label", "speed", "frames encoded"]
    rows = (
        [
            m["kind"],
            m["mode"],
            m["rows"],
            f"{100 * m['agreement']:.1f} %",
            f"{m['speed_ratio']:.2f}x",
            f"{100 * m['encoded_share']:.0f} %",
        ]
        for m in result["modes"]
    )
    return measured(head, rows, result, f"Bundle {result['bundle']}, {result['precision']}. ")


def installs(result: Result) -> str:
    """Packages, room and time of each install."""
    rows = [
        [
            f"`pip install '.[{one['extra']}]'`",
            one["packages"],
            f"{one['mib']:,} MiB",
            limit(f"<= {one['limit_mib']}", one["mib"]) if one["limit_mib"] else "",
            f"{one['seconds']:.0f} s",
        ]
        for one in result["installs"]
    ]
    return measured(["install", "packages", "on disk", "limit, MiB", "time"], rows, result)


def page(result: Result) -> str:
    """The page of an hour."""
    limits = result["limits"]
    rows = [
        ["rows", result["rows"], ""],
        ["size", f"{result['kilobytes']} kB", limit(f"<= {limits['kilobytes']}", result["kilobytes"])],
        [
            "first paint in headless Chromium",
            f"{result['first_paint_ms']} ms",
            limit(f"<= {limits['first_paint_ms']}", result["first_paint_ms"]),
        ],
        [
            "a jump while scrubbing",
            f"{result['jump_ms']:.1f} ms",
            limit(f"<= {limits['jump_ms']}", result["jump_ms"]),
        ],
        ["making it, after the last row", f"{result['made_seconds']:.1f} s", ""],
    ]
    return measured(["an hour at 25 frames a second", "measured", "limit"], rows, result)


def serve(result: Result) -> str:
    """The server under uploads at once, and under requests that are none."""
    statuses = ", ".join(f"{n} times {code}" for code, n in result["statuses"].items() if code != "0")
    rows = [
        ["one upload of the demo clip", f"{result['one_upload_seconds']:.1f} s", ""],
        [f"{result['uploads']} at once", f"{result['all_uploads_seconds']:.1f} s", ""],
        [
            "largest difference of a score from the command line's",
            f"{result['largest_score_difference']:g}",
            limit("<= 0.001", result["largest_score_difference"]),
        ],
        ["malformed requests", result["malformed_requests"], ""],
        ["answers", statuses, ""],
        ["5xx but 503", result["server_errors"], limit("<= 0", result["server_errors"])],
        [
            "without an end in 10 s",
            result["unanswered_in_time"],
            limit("<= 0", result["unanswered_in_time"]),
        ],
    ]
    return measured([bundle_line(result), "measured", "limit"], rows, result)


def kills(result: Result) -> str:
    """Programs that are killed again and again."""
    rows = [
        [
            one["name"],
            one["kills"],
            f"{one['seconds']:.1f} s",
            one["results"],
            len(one["differing"]),
            len(one["left"]),
        ]
        for one in result["programs"]
    ]
    head = ["program", "kills", "undisturbed", "results", "that differ", "left behind"]
    return measured(head, rows, result)


def streams(result: Result) -> str:
    """Threads that share a recogniser, beside one."""
    rows = [
        ["files whose rows differ", result["differing"], limit("<= 0", result["differing"])],
        ["threads beside one", f"{result['speed']:.2f} x", limit(f">= {result['limit']}", result["speed"])],
    ]
    note = f"{result['threads']} threads of {result['files']} files. "
    return measured(["", "measured", "limit"], rows, result, note)


def fuzz(result: Result) -> str:
    """Outcomes of damaged files and bundles."""
    rows = [
        [name, result[name]["cases"], _outcomes(result[name]["outcomes"]), len(result[name]["faults"])]
        for name in ("files", "bundles")
    ]
    return measured(["damaged", "cases", "how they ended", "faults"], rows, result)


def _outcomes(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in outcomes.items())
