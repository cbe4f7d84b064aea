"""What the pages show of each measurement: one function a table, from ``results/*.json`` to Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import ge, gt, le, lt
from typing import Any

Result = dict[str, Any]
PARITY = "runtime/emorec_rt/demo/manifest.json"


def first_run(result: Result) -> str:
    """Start-up, speed, memory."""
    rows = (
        [f["name"], f"{f['value']:.2f} {f['unit']}", _limit(f["limit"], f["value"])]
        for f in result["figures"]
    )
    return _measured(["demo bundle", "measured", "limit"], rows, result)


def demo(result: Result) -> str:
    """What the first command prints."""
    return f"```\n{result['transcript']}\n```"


def training(result: Result) -> str:
    """Macro F1 by stream and seed."""
    rows = (
        [
            run["seed"],
            *(f"{run['macro_f1'][mode]:.3f}" for mode in ("visual", "audio", "both")),
            f"{run['minutes']:.1f} min",
        ]
        for run in result["runs"]
    )
    table = _table(["seed", "picture alone", "sound alone", "both", "training"], rows)
    return f"{table}\n\nMacro F1 on held-out generated clips. {_machine(result)}"


def ablation(result: Result) -> str:
    """What each part of the model is worth, and what follows from it."""
    rows = ([name, f"{row['mean']:.3f}", f"{row['std']:.3f}"] for name, row in result["rows"].items())
    head = f"macro F1, {result['split']} clips, {len(result['seeds'])} seeds"
    table = _table([head, "mean", "standard deviation"], rows)
    verdicts = "\n".join(f"- {verdict}" for verdict in result["verdicts"])
    return f"{table}\n\n{verdicts}\n\nBy `{result['command']}`."


def real_material(result: Result) -> str:
    """Accuracy with its interval."""
    head = ["material", "clips", "accuracy", "95 % interval", "unweighted recall", "chance"]
    rows = (
        [
            kind,
            r["clips"],
            f"{r['accuracy']:.3f}",
            _interval(r["interval"]),
            f"{r['unweighted_recall']:.3f}",
            f"{r['chance']:.3f}",
        ]
        for kind, r in result["kinds"].items()
    )
    return _table(head, rows)


def sound(result: Result) -> str:
    """Unweighted average recall on real voices."""
    head = ["sound encoder", "unweighted average recall", "95 % interval", "chance"]
    untrained = result["untrained"]
    rows = [
        [name, f"{r['average_recall']:.3f}", _interval(r["interval_95"]), f"{result['chance']:.3f}"]
        for name, r in (("trained on synthetic voices", result), ("untrained", untrained))
    ]
    return _measured(head, rows, result, f"{result['clips']} clips of {result['speakers']} speakers. ")


def parity(manifest: Result) -> str:
    """What the demo bundle's build measured, variant by variant."""
    head = ["variant", "same label as PyTorch", "macro F1", "change", "largest error of a logit", "size"]
    rows = []
    for name, variant in manifest["parity"]["variants"].items():
        chain, graphs = variant["chain"], variant["graphs"]
        size = sum(graph["size_bytes"] for graph in graphs.values()) / 2**20
        rows.append(
            [
                name,
                f"{chain['label_agreement']:.2%}",
                f"{chain['macro_f1']:.4f}",
                f"{chain['macro_f1_change']:+.4f}",
                f"{graphs['fusion']['max_abs_error']:.1e}",
                f"{size:.1f} MiB",
            ]
        )
    reference = manifest["parity"]["reference"]
    return (
        f"{_table(head, rows)}\n\n{reference['clips']} held-out generated clips, {reference['steps']} steps; "
        f"PyTorch reaches macro F1 {reference['macro_f1']:.4f}."
    )


def cpu_engines(result: Result) -> str:
    """Speed of each graph in each library."""
    head = ["graph", "engine", "a batch", "a second", "against onnxruntime FP32", "limit"]
    rows = (
        [
            f["graph"],
            f["engine"],
            f"{f['batch_ms']:.1f} ms",
            f"{f['items_per_second']:.1f}",
            f"{f['times_reference']:.2f}x",
            "" if f["limit"] is None else _limit(f">= {f['limit']:g}", f["times_reference"]),
        ]
        for f in result["figures"]
    )
    return _measured(head, rows, result, f"Batches of {result['batch']}, full size, random weights. ")


def export_full_size(result: Result) -> str:
    """Time, memory, size."""
    rows = (
        [f["name"], f"{f['value']:.1f} {f['unit']}", _limit(f"<= {f['limit']:g}", f["value"])]
        for f in result["figures"]
    )
    return _measured(["full size, random weights", "measured", "limit"], rows, result)


def features(result: Result) -> str:
    """Features beside the visual encoder alone."""
    alone = result["vision_frames_per_second"][str(result["best_batch"])]
    rows = [
        [f"visual encoder alone, batch {result['best_batch']}", f"{alone:.1f} frames/s", ""],
        [
            "decoding, cropping, both encoders, writing",
            f"{result['features_frames_per_second']:.1f} frames/s",
            "",
        ],
        ["share", f"{result['share']:.2f}", _limit(f">= {result['limit']:g}", result["share"])],
    ]
    return _measured(["full size, random weights", "measured", "limit"], rows, result)


def head_training(result: Result) -> str:
    """Training the fusion from cached features."""
    name = f"reference's fusion, batch {result['batch']}, {result['threads']} threads"
    speed = result["windows_per_second"]
    rows = [[name, f"{speed:.1f} windows/s", _limit(f">= {result['limit']:g}", speed)]]
    return _measured(["features of random content", "measured", "limit"], rows, result)


def submission(result: Result) -> str:
    """Writing and checking a submission."""
    rows = (
        [f["name"], f"{f['rows']:,}", f"{f['seconds']:.1f} s", f"{f['peak_mib']:.0f} MiB"]
        for f in result["figures"]
    )
    limits = f"Limits for 228 sequences: {result['limit_seconds']:g} s, {result['limit_mib']:g} MiB. "
    return _measured(["what", "rows", "time", "peak memory"], rows, result, limits)


def throughput(result: Result) -> str:
    """Every contender on the same clip."""
    head = ["full size, random weights", "times real time", "frames/s", "first row", "peak memory"]
    rows = [_contender(name, r) for name, r in result["contenders"].items()]
    return _measured(head, rows, result)


def throughput_ratios(result: Result) -> str:
    """What INT8 on the best backend is held to."""
    rows = (
        [r["name"], f"{r['value']:.2f} {r['unit']}", _limit(r["limit"], r["value"])] for r in result["ratios"]
    )
    return _measured([f"INT8, {result['backend']}", "measured", "limit"], rows, result)


def live(result: Result) -> str:
    """How far behind its frame a row is."""
    limits = result["limits"]
    rows = [
        ["frames sent", result["sent"], ""],
        ["rows lost", result["lost"], _limit(f"<= {limits['lost']}", result["lost"])],
        ["delay of a row, median", f"{result['p50_seconds']:.2f} s", ""],
        [
            "delay, 95th percentile",
            f"{result['p95_seconds']:.2f} s",
            _limit(f"<= {limits['p95_seconds']:g}", result["p95_seconds"]),
        ],
        ["longest delay", f"{result['max_seconds']:.2f} s", ""],
    ]
    return _measured(
        [f"{result['seconds'] / 60:.0f} minutes, demo bundle", "measured", "limit"], rows, result
    )


def agreement(result: Result) -> str:
    """Each variant's labels against FP32's."""
    head = ["variant", "clips", "steps", "same label as FP32", "change of macro F1"]
    rows = (
        [
            f["variant"],
            f"{f['count']} {f['clips']}",
            f["steps"],
            f"{f['agreement']:.3%}",
            "-" if f["macro_f1_change"] is None else f"{f['macro_f1_change']:+.4f}",
        ]
        for f in result["figures"]
    )
    return _measured(head, rows, result)


def outliers(result: Result) -> str:
    """Cosines of INT8 with FP32, with and without outlier channels."""
    head = [
        "graph",
        "norms with outliers",
        "plain INT8, none",
        "plain INT8, outliers",
        "default recipe, outliers",
    ]
    rows = (
        [f["graph"], f["norms"], f"{f['calm']:.4f}", f"{f['plain']:.4f}", f"{f['default']:.4f}"]
        for f in result["figures"]
    )
    return _measured(head, rows, result, f"Cosine with FP32; limit of the default: {result['limit']:g}. ")


def fuzz(result: Result) -> str:
    """What became of damaged files and bundles."""
    rows = [
        [name, result[name]["cases"], _outcomes(result[name]["outcomes"]), len(result[name]["faults"])]
        for name in ("files", "bundles")
    ]
    return _measured(["damaged", "cases", "how they ended", "faults"], rows, result)


def arm64_wheels(result: Result) -> str:
    """What pip would install on a Jetson."""
    rows = ([a["target"], a["markers_of"], _versions(a["wheels"])] for a in result["answers"])
    return f"{_table(['system', 'answered by', 'wheels'], rows)}\n\nResolved {result['machine']['date']}."


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
    return _measured(head, rows, result, f"Bundle {result['bundle']}, {result['precision']}. ")


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
    return _measured(head, rows, result, f"{result['files']} files of {result['seconds_each']:g} s. ")


TABLES: dict[str, tuple[str, Callable[[Result], str]]] = {
    "demo": ("first_run", demo),
    "first_run": ("first_run", first_run),
    "training": ("training", training),
    "ablation": ("ablation", ablation),
    "real_material": ("real_material", real_material),
    "sound": ("sound", sound),
    "parity": (PARITY, parity),
    "cpu_engines": ("cpu_engines", cpu_engines),
    "export_full_size": ("export_full_size", export_full_size),
    "features": ("features", features),
    "head_training": ("head_training", head_training),
    "submission": ("submission", submission),
    "throughput": ("throughput", throughput),
    "throughput_ratios": ("throughput", throughput_ratios),
    "live": ("live", live),
    "agreement": ("agreement", agreement),
    "outliers": ("outliers", outliers),
    "fast_modes": ("fast_modes", fast_modes),
    "folders": ("folders", folders),
    "fuzz": ("fuzz", fuzz),
    "arm64_wheels": ("arm64_wheels", arm64_wheels),
}
"""By the name of a page's block: the measurement that it shows, or a JSON file of the repository; and how."""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _measured(head: Sequence[str], rows: Iterable[Sequence[object]], result: Result, note: str = "") -> str:
    return f"{_table(head, rows)}\n\n{note}{_machine(result)}"


def _machine(result: Result) -> str:
    machine = result["machine"]
    return f"{machine['cpu']}, {machine['cores']} cores, Python {machine['python']}, {machine['date']}."


def _interval(bounds: Sequence[float]) -> str:
    return f"{bounds[0]:.3f} to {bounds[1]:.3f}"


def _limit(limit: str, value: float) -> str:
    """A limit such as ``>= 0.8``, and whether the value misses it; without a sign there is none."""
    sign, _, number = limit.partition(" ")
    holds = {"<": lt, "<=": le, ">=": ge, ">": gt}.get(sign)
    return limit if holds is None or holds(value, float(number)) else f"{limit}, **missed**"


def _contender(name: str, result: Result) -> list[object]:
    if "skipped" in result:
        return [name, f"not run: {result['skipped']}", "", "", ""]
    first = result["first_row_seconds"]
    return [
        name,
        f"{result['times_real_time']:.2f}",
        f"{result['frames_per_second']:.1f}",
        "-" if first is None else f"{first:.2f} s",
        f"{result['peak_mib']:.0f} MiB",
    ]


def _outcomes(outcomes: dict[str, int]) -> str:
    return ", ".join(f"{count} {name}" for name, count in outcomes.items())


def _versions(wheels: Iterable[Result]) -> str:
    return ", ".join(f"{wheel['name']} {wheel['version']}" for wheel in wheels)
