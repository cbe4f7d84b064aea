"""Tables of the pages: one function a table, from ``results/*.json`` to Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import ge, gt, le, lt
from typing import Any

Result = dict[str, Any]
NOT_MEASURED = "Not measured yet."
MILLION = 1_000_000
PARITY = "runtime/emorec_rt/default/manifest.json"


def first_run(result: Result) -> str:
    """Start-up, speed, memory."""
    rows = (
        [f["name"], f"{f['value']:.2f} {f['unit']}", _limit(f["limit"], f["value"])]
        for f in result["figures"]
    )
    return _measured([_bundle(result), "measured", "limit"], rows, result)


def demo(result: Result) -> str:
    """Output of the first command."""
    return f"```\n{result['transcript']}\n```"


def speed(results: Result) -> str:
    """The figures that a newcomer asks for, one of each thing, from several measurements."""
    first, full, live = (results[name] for name in ("first_run", "throughput", "live"))
    start, pace, peak = (_named(first["figures"], name) for name in FIRST_RUN)
    eager, own = (_named(full["ratios"], name) for name in FULL_SIZE)
    rows = [
        ["first row after the program's start", f"{start['value']:.1f} s", _cpu(first)],
        ["default model, the clip above", f"{pace['value']:.0f} x real time", _cpu(first)],
        ["its peak memory", f"{peak['value']:.0f} MiB", _cpu(first)],
        ["a camera's row behind its frame, 95th percentile", f"{live['p95_seconds']:.1f} s", _cpu(live)],
        ["the paper's model at full size, INT8", f"{own['value']:.1f} x real time", _cpu(full)],
        ["the same beside PyTorch", f"{eager['value']:.0f} x as fast", _cpu(full)],
    ]
    return _table(["", "measured", "on"], rows)


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


def multitask(result: Result) -> str:
    """Classes alone beside classes with measures, with all labels and with half of them."""
    head = ["trained on", "macro F1, mean", "by seed", "CCC", "macro F1 of action units"]
    rows = (
        [
            name,
            f"{row['mean']['macro_f1']:.3f}",
            ", ".join(f"{run['macro_f1']:.3f}" for run in row["runs"].values()),
            *(f"{row['mean'][key]:.3f}" if key in row["mean"] else "" for key in ("ccc", "au_f1")),
        ]
        for name, row in result["rows"].items()
    )
    return _measured(head, rows, result, f"{len(result['seeds'])} seeds. ")


def ablation(result: Result) -> str:
    """Worth of each part of the model, and the conclusion."""
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


def _judged(reference: Result) -> str:
    """Number of rows; bundles of before rows were judged have steps."""
    return f"{reference['rows']} rows" if "rows" in reference else f"{reference['steps']} steps"


def parity(manifest: Result) -> str:
    """Measurements of the bundle's build, variant by variant."""
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
        f"{_table(head, rows)}\n\n{reference['clips']} held-out clips, {_judged(reference)}; "
        f"PyTorch reaches macro F1 {reference['macro_f1']:.4f}."
    )


def people(result: Result) -> str:
    """The default model on people beside others, as far as they were measured."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for f in result["figures"]:
        if f["section"] != "int8":
            row = cells.setdefault((f["material"], f["measure"]), {})
            row[f["method"]] = f"{f['value']:.3f} ({_interval((f['low'], f['high']))})"
    methods = [name for name in PEOPLE if any(PEOPLE[name] & row.keys() for row in cells.values())]
    rows = [
        [
            material,
            measure,
            *(row[min(PEOPLE[name] & row.keys())] if PEOPLE[name] & row.keys() else "-" for name in methods),
        ]
        for (material, measure), row in cells.items()
    ]
    return _measured(["material", "measure", *methods], rows, result)


def people_short(result: Result) -> str:
    """Figures of the default model on each kind of material, in one line each."""
    own = [f for f in result["figures"] if f["method"] in PEOPLE["default model"]]
    found = {(f["material"], f["measure"]): f for f in own if f["section"] != "int8"}
    rows = [
        [words, f"{found[key]['value']:.2f} ({found[key]['low']:.2f} to {found[key]['high']:.2f})"]
        for key, words in SHORT.items()
        if key in found
    ]
    return _measured(["default model", "measured (95 % interval)"], rows, result)


def people_classes(result: Result) -> str:
    """Recall of each class of faces, and what it is taken for most."""
    labels, rows = result["labels"], []
    if not result["confusion"]:
        return NOT_MEASURED
    for k, row in enumerate(result["confusion"]):
        others = sorted((j for j in range(len(labels)) if j != k), key=lambda j: -row[j])[:2]
        mistaken = ", ".join(f"{labels[j]} {row[j] / max(sum(row), 1):.0%}" for j in others)
        rows.append([labels[k], sum(row), f"{row[k] / max(sum(row), 1):.2f}", mistaken])
    return _measured(["class", "pictures", "recall", "taken for"], rows, result)


def people_int8(result: Result) -> str:
    """INT8 against FP32 on pairs."""
    rows = [
        [
            f["material"],
            f["measure"],
            f"{f['value']:+.4f}" if "change" in f["measure"] else f"{f['value']:.2%}",
            f["count"],
        ]
        for f in result["figures"]
        if f["section"] == "int8"
    ]
    if not rows:
        return NOT_MEASURED
    return _measured(["material", "measure", "int8", "pairs"], rows, result)


FIRST_RUN = ("first row after start", "demo clip, engines loaded", "peak memory")
FULL_SIZE = ("against PyTorch, each window anew", "speed")
SHORT = {
    ("FER+ valid", "accuracy"): "photos of faces (FER+), share that is right of 8 classes",
    ("posed CC BY valid", "accuracy"): "posed faces, neutral and smiling, share that is right",
    ("GRID, picture and sound", "Neutral"): "people who read commands (GRID), share of rows that are Neutral",
    ("pairs, both", "macro F1"): "a face and a voice of the same label, macro F1 of 6 classes",
    ("pairs, visual", "macro F1"): "the same, the face alone",
    ("pairs, audio", "macro F1"): "the same, the voice alone",
    (
        "RAVDESS, after 10 s",
        "unweighted recall",
    ): "voices of other actors (RAVDESS), recall; chance is 0.17",
}
"""Lines of the short table of the default model, by material and measure."""

PEOPLE: dict[str, set[str]] = {
    "default model": {"bundle, fp32", "bundle"},
    "a model of one stream": {"a model of its own"},
    "trained on drawings": {"trained on drawings"},
    "`fer`": {"fer"},
    "face-api": {"face-api"},
    "always Neutral": {"always Neutral"},
}
"""Columns of the table, and what their methods are called in the result."""


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


def prior_correction(result: Result) -> str:
    """Macro F1 of each strength of logit adjustment, by the decoding's search."""
    head = ["trained with", "plain", "tuned, 0 to 1", "tuned, -1 to 1"]
    rows = [
        [name, f"{own['plain']:.3f}", f"{own['0 to 1']:.3f}", f"{own['-1 to 1']:.3f}"]
        for name, own in result["macro_f1"].items()
    ]
    separations = ", ".join(f"{value:g}" for value in result["separations"])
    return _measured(head, rows, result, f"{result['seeds']} seeds at separations {separations}. ")


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
    """Limits of INT8 on the best backend."""
    rows = (
        [r["name"], f"{r['value']:.2f} {r['unit']}", _limit(r["limit"], r["value"])] for r in result["ratios"]
    )
    return _measured([f"INT8, {result['backend']}", "measured", "limit"], rows, result)


def live(result: Result) -> str:
    """Delay of a row behind its frame."""
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
        [f"{result['seconds'] / 60:.0f} minutes, {_bundle(result)}", "measured", "limit"], rows, result
    )


def page(result: Result) -> str:
    """The page of an hour."""
    limits = result["limits"]
    rows = [
        ["rows", result["rows"], ""],
        ["size", f"{result['kilobytes']} kB", _limit(f"<= {limits['kilobytes']}", result["kilobytes"])],
        [
            "first paint in headless Chromium",
            f"{result['first_paint_ms']} ms",
            _limit(f"<= {limits['first_paint_ms']}", result["first_paint_ms"]),
        ],
        [
            "a jump while scrubbing",
            f"{result['jump_ms']:.1f} ms",
            _limit(f"<= {limits['jump_ms']}", result["jump_ms"]),
        ],
        ["making it, after the last row", f"{result['made_seconds']:.1f} s", ""],
    ]
    return _measured(["an hour at 25 frames a second", "measured", "limit"], rows, result)


def serve(result: Result) -> str:
    """The server under uploads at once, and under requests that are none."""
    statuses = ", ".join(f"{n} times {code}" for code, n in result["statuses"].items() if code != "0")
    rows = [
        ["one upload of the demo clip", f"{result['one_upload_seconds']:.1f} s", ""],
        [f"{result['uploads']} at once", f"{result['all_uploads_seconds']:.1f} s", ""],
        [
            "largest difference of a score from the command line's",
            f"{result['largest_score_difference']:g}",
            _limit("<= 0.001", result["largest_score_difference"]),
        ],
        ["malformed requests", result["malformed_requests"], ""],
        ["answers", statuses, ""],
        ["5xx but 503", result["server_errors"], _limit("<= 0", result["server_errors"])],
        [
            "without an end in 10 s",
            result["unanswered_in_time"],
            _limit("<= 0", result["unanswered_in_time"]),
        ],
    ]
    return _measured([_bundle(result), "measured", "limit"], rows, result)


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
    """Outcomes of damaged files and bundles."""
    rows = [
        [name, result[name]["cases"], _outcomes(result[name]["outcomes"]), len(result[name]["faults"])]
        for name in ("files", "bundles")
    ]
    return _measured(["damaged", "cases", "how they ended", "faults"], rows, result)


def streams(result: Result) -> str:
    """Threads that share a recogniser, beside one."""
    rows = [
        ["files whose rows differ", result["differing"], _limit("<= 0", result["differing"])],
        ["threads beside one", f"{result['speed']:.2f} x", _limit(f">= {result['limit']}", result["speed"])],
    ]
    note = f"{result['threads']} threads of {result['files']} files. "
    return _measured(["", "measured", "limit"], rows, result, note)


def arm64_wheels(result: Result) -> str:
    """Wheels that pip would install on a Jetson."""
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
    return _measured(head, rows, result)


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
        ["delay, 95th percentile", f"{run['p95_seconds']:.2f} s", _limit(p95, run["p95_seconds"])],
        *(
            [
                f"same label, {f['clips']} clips, {100 * f['encoded_share']:.0f} % of the frames encoded",
                f"{f['agreement']:.3f}",
                _limit(agreement, f["agreement"]) if f["clips"] == "real" else "",
            ]
            for f in result["steady"]
        ),
    ]
    head = [f"{run['minutes']:g} minutes, {' '.join(run['arguments'])}", "measured", "limit"]
    return _measured(head, rows, result)


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


def cluster(result: Result) -> str:
    """Two workers of Ray beside two processes."""
    limit = _limit(f"<= {result['limits']['ratio']}", result["ratio"])
    rows = [
        ["`--jobs 2`", _seconds(result["jobs_seconds"]), ""],
        ["two workers of Ray, its start included", _seconds(result["ray_seconds"]), ""],
        ["the second beside the first", f"{result['ratio']:.2f}x", limit],
        ["two workers, one of them killed half-way", f"{result['killed_seconds']:.0f} s", ""],
        ["results that differ", "none" if result["same"] else "some", "none"],
    ]
    clips = f"{result['clips']} clips of {result['seconds_each']:g} s"
    load = f"load {result['load']:g} before the first"
    note = f"{clips}; calls in turn, on a machine with other work ({load}). "
    return _measured(["call", "time", "limit"], rows, result, note)


def _seconds(figures: Sequence[float]) -> str:
    return ", ".join(f"{figure:.0f} s" for figure in figures)


def million_hours(result: Result) -> str:
    """Machine-hours for a million hours of video, from measured speeds."""
    files, contenders = result["folders"], result["throughput"]["contenders"]
    one = _named(files["calls"], "--jobs 1")
    speeds = {
        "default bundle": one["media_seconds"] / one["wall_seconds"],
        **{
            f"full size, {name.removeprefix('emorec ')}": found["times_real_time"]
            for name, found in contenders.items()
            if name.startswith("emorec") and "skipped" not in found
        },
    }
    rows = ([name, f"{speed:.1f}", f"{MILLION / speed:,.0f}"] for name, speed in speeds.items())
    return _measured(["model", "times real time", "machine-hours"], rows, files)


def rtx_engines(result: Result) -> str:
    """Result of the builder for every graph and variant."""
    mib = 1 << 20
    head = [
        "model, graph",
        "variant",
        "engine",
        "activations",
        "kernels",
        "products",
        "attention kernels",
        "weights turned back",
    ]
    rows = (
        [
            f"{e['model']}, {e['graph']}",
            e["precision"],
            f"{e['engine_bytes'] / mib:.1f} MiB",
            f"{e['activation_bytes'] / mib:.1f} MiB",
            e["kernels"],
            ", ".join(f"{count} {kind}" for kind, count in sorted(e["products"].items())),
            e["fused_attention"],
            e["dequantised"],
        ]
        for e in result["engines"]
    )
    same = all(e["same_bytes_twice"] for e in result["engines"])
    twice = "Two builds are equal to the last byte. " if same else "Two builds differ. "
    note = f"TensorRT for RTX {result['release']}, largest batches 32 frames, 1 chunk, 8 windows. {twice}"
    return _measured(head, rows, result, note)


TABLES: dict[str, tuple[str | tuple[str, ...], Callable[[Result], str]]] = {
    "demo": ("first_run", demo),
    "speed": (("first_run", "throughput", "live"), speed),
    "first_run": ("first_run", first_run),
    "training": ("training", training),
    "multitask": ("multitask", multitask),
    "ablation": ("ablation", ablation),
    "people_ablation": ("people_ablation", ablation),
    "real_material": ("real_material", real_material),
    "sound": ("sound", sound),
    "parity": (PARITY, parity),
    "people": ("people", people),
    "people_short": ("people", people_short),
    "people_classes": ("people", people_classes),
    "people_int8": ("people", people_int8),
    "cpu_engines": ("cpu_engines", cpu_engines),
    "export_full_size": ("export_full_size", export_full_size),
    "rtx_engines": ("rtx_engines", rtx_engines),
    "features": ("features", features),
    "head_training": ("head_training", head_training),
    "prior_correction": ("prior_correction", prior_correction),
    "submission": ("submission", submission),
    "throughput": ("throughput", throughput),
    "throughput_ratios": ("throughput", throughput_ratios),
    "live": ("live", live),
    "page": ("page", page),
    "serve": ("serve", serve),
    "agreement": ("agreement", agreement),
    "outliers": ("outliers", outliers),
    "fast_modes": ("fast_modes", fast_modes),
    "keep_up": ("keep_up", keep_up),
    "keep_up_live": ("keep_up", keep_up_live),
    "folders": ("folders", folders),
    "cluster": ("cluster", cluster),
    "million_hours": (("folders", "throughput"), million_hours),
    "fuzz": ("fuzz", fuzz),
    "streams": ("streams", streams),
    "arm64_wheels": ("arm64_wheels", arm64_wheels),
}
"""By the name of a page's block: the measurement that it shows, or a JSON file of the repository, or several
measurements by their names; and how."""


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _measured(head: Sequence[str], rows: Iterable[Sequence[object]], result: Result, note: str = "") -> str:
    return f"{_table(head, rows)}\n\n{note}{_machine(result)}"


def _machine(result: Result) -> str:
    machine = result["machine"]
    return f"{_cpu(result)}, Python {machine['python']}, {machine['date']}."


def _cpu(result: Result) -> str:
    machine = result["machine"]
    return f"{machine['cpu']}, {machine['cores']} cores"


def _named(figures: Iterable[Result], name: str) -> Result:
    return next(figure for figure in figures if figure["name"] == name)


def _bundle(result: Result) -> str:
    """The bundle that was measured; results without a name are older than the default model."""
    return f"{result.get('bundle', 'drawn')} bundle"


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
