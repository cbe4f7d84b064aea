"""Tables of what models say of people."""

from __future__ import annotations

from tables.layout import NOT_MEASURED, Result, interval, measured, table

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


def people(result: Result) -> str:
    """The default model on people beside others, as far as they were measured."""
    cells: dict[tuple[str, str], dict[str, str]] = {}
    for f in result["figures"]:
        if f["section"] != "int8":
            row = cells.setdefault((f["material"], f["measure"]), {})
            row[f["method"]] = f"{f['value']:.3f} ({interval((f['low'], f['high']))})"
    methods = [name for name in PEOPLE if any(PEOPLE[name] & row.keys() for row in cells.values())]
    rows = [
        [
            material,
            measure,
            *(row[min(PEOPLE[name] & row.keys())] if PEOPLE[name] & row.keys() else "-" for name in methods),
        ]
        for (material, measure), row in cells.items()
    ]
    return measured(["material", "measure", *methods], rows, result)


def people_short(result: Result) -> str:
    """Figures of the default model on each kind of material, in one line each."""
    own = [f for f in result["figures"] if f["method"] in PEOPLE["default model"]]
    found = {(f["material"], f["measure"]): f for f in own if f["section"] != "int8"}
    rows = [
        [words, f"{found[key]['value']:.2f} ({found[key]['low']:.2f} to {found[key]['high']:.2f})"]
        for key, words in SHORT.items()
        if key in found
    ]
    return measured(["default model", "measured (95 % interval)"], rows, result)


def people_classes(result: Result) -> str:
    """Recall of each class of faces, and what it is taken for most."""
    labels, rows = result["labels"], []
    if not result["confusion"]:
        return NOT_MEASURED
    for k, row in enumerate(result["confusion"]):
        others = sorted((j for j in range(len(labels)) if j != k), key=lambda j: -row[j])[:2]
        mistaken = ", ".join(f"{labels[j]} {row[j] / max(sum(row), 1):.0%}" for j in others)
        rows.append([labels[k], sum(row), f"{row[k] / max(sum(row), 1):.2f}", mistaken])
    return measured(["class", "pictures", "recall", "taken for"], rows, result)


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
    return measured(["material", "measure", "int8", "pairs"], rows, result)


def real_material(result: Result) -> str:
    """Accuracy with its interval."""
    head = ["material", "clips", "accuracy", "95 % interval", "unweighted recall", "chance"]
    rows = (
        [
            kind,
            r["clips"],
            f"{r['accuracy']:.3f}",
            interval(r["interval"]),
            f"{r['unweighted_recall']:.3f}",
            f"{r['chance']:.3f}",
        ]
        for kind, r in result["kinds"].items()
    )
    return table(head, rows)


def sound(result: Result) -> str:
    """Unweighted average recall on real voices."""
    head = ["sound encoder", "unweighted average recall", "95 % interval", "chance"]
    untrained = result["untrained"]
    rows = [
        [name, f"{r['average_recall']:.3f}", interval(r["interval_95"]), f"{result['chance']:.3f}"]
        for name, r in (("trained on synthetic voices", result), ("untrained", untrained))
    ]
    return measured(head, rows, result, f"{result['clips']} clips of {result['speakers']} speakers. ")
