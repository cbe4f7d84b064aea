"""Tables of graphs and engines: speed, agreement, size."""

from __future__ import annotations

from collections.abc import Iterable

from tables.layout import Result, figures, limit, measured, table


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
        f"{table(head, rows)}\n\n{reference['clips']} held-out clips, {_judged(reference)}; "
        f"PyTorch reaches macro F1 {reference['macro_f1']:.4f}."
    )


def _judged(reference: Result) -> str:
    """Number of rows; bundles of before rows were judged have steps."""
    return f"{reference['rows']} rows" if "rows" in reference else f"{reference['steps']} steps"


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
            "" if f["limit"] is None else limit(f">= {f['limit']:g}", f["times_reference"]),
        ]
        for f in result["figures"]
    )
    return measured(head, rows, result, f"Batches of {result['batch']}, full size, random weights. ")


def auto(result: Result) -> str:
    """Speed of the whole chain by backend, and which one ``auto`` takes."""
    head = ["bundle", "precision", "backend", "times real time", "`auto` takes"]
    rows = (
        [c["bundle"], c["precision"], name, f"{speed:.2f}", "it" if name == c["taken"] else ""]
        for c in result["cases"]
        for name, speed in c["speeds"].items()
    )
    return measured(head, rows, result, f"Load average before: {result['load_average']:.1f}. ")


def auto_limits(result: Result) -> str:
    """Choosing, and the wait for the first row."""
    return figures("`auto`", result["figures"], result)


def export_full_size(result: Result) -> str:
    """Time, memory, size."""
    return figures("full size, random weights", result["figures"], result)


def throughput(result: Result) -> str:
    """Every contender on the same clip."""
    head = ["full size, random weights", "times real time", "frames/s", "first row", "peak memory"]
    rows = [_contender(name, r) for name, r in result["contenders"].items()]
    return measured(head, rows, result)


def throughput_ratios(result: Result) -> str:
    """Limits of INT8 on the best backend."""
    return figures(f"INT8, {result['backend']}", result["ratios"], result)


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
    return measured(head, rows, result)


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
    return measured(head, rows, result, f"Cosine with FP32; limit of the default: {result['limit']:g}. ")


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
    return measured(head, rows, result, note)


def arm64_wheels(result: Result) -> str:
    """Wheels that pip would install on a Jetson."""
    rows = ([a["target"], a["markers_of"], _versions(a["wheels"])] for a in result["answers"])
    return f"{table(['system', 'answered by', 'wheels'], rows)}\n\nResolved {result['machine']['date']}."


def _versions(wheels: Iterable[Result]) -> str:
    return ", ".join(f"{wheel['name']} {wheel['version']}" for wheel in wheels)
