"""The parity report as one HTML page that needs nothing from elsewhere: no script, no font, no picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any, Final

from emorec_export.bars import Bar, bars
from emorec_export.report import ChainParity, EngineReport, GraphParity, Report, VariantParity, warnings
from emorec_rt.bundle.manifest import Manifest, Precision
from emorec_rt.files import write_whole
from emorec_rt.writers.page import asset

PAGE_FILE_NAME: Final = "report.html"

_STYLE: Final = """
:root { --bar: #0072b2; --keep: #d55e00; --warn: #fff3cd; }
@media (prefers-color-scheme: dark) { :root { --bar: #56b4e9; --keep: #e69f00; --warn: #4a3d10; } }
body { max-width: 1000px; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.2rem; } td.soft, figcaption { color: var(--soft); }
.cards { display: flex; flex-wrap: wrap; gap: 1rem; }
.card { background: var(--card); border-radius: 8px; padding: .8rem 1.1rem; min-width: 150px; }
.card b { display: block; font-size: 1.5rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid var(--rule);
  white-space: nowrap; }
td.long { white-space: normal; }
th:first-child, td:first-child, th:nth-child(2), td:nth-child(2) { text-align: left; }
svg { max-width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--ink); }
svg rect { fill: var(--bar); } svg rect.keep { fill: var(--keep); }
.warning { background: var(--warn); border-radius: 6px; padding: .5rem .9rem; margin: .5rem 0; }
figure { margin: 1rem 0; } code { word-break: break-all; }
"""

_LONGEST_RANKING: Final = 40
"""Layers in the plot; the manifest has them all."""


def write_page(manifest: Manifest, report: Report, path: Path) -> None:
    """Write the page.

    Raises:
        OutputError: It can't be written.
    """
    write_whole(path, page(manifest, report))


def page(manifest: Manifest, report: Report) -> str:
    """The whole document."""
    reference = report.reference
    intro = (
        f"Every variant on {reference.clips} held-out clips ({reference.rows} rows) beside the PyTorch "
        f"model in FP32, which reaches accuracy {reference.accuracy:.4f} and macro-F1 "
        f"{reference.macro_f1:.4f}."
    )
    parts = [
        f"<h1>{escape(manifest.name)}</h1><p class='soft'>Parity report</p>",
        f"<p class='notice'>{escape(manifest.notice)}</p>" if manifest.notice else "",
        f"<p>{intro}</p>",
        _cards(report),
        "".join(f"<p class='warning'>{escape(line)}</p>" for line in warnings(report)),
        "<h2>Graph by graph</h2>",
        _table(report),
        "<h2>Size</h2>",
        _chart(report, "Size of the graphs", lambda graph: (graph.size_bytes, _megabytes(graph.size_bytes))),
        "<h2>Time for a batch</h2>",
        f"<p class='soft'>{escape(report.engine)}, on the machine that built. FP16 and FP8 have hardly any "
        "kernels on CPUs: their bars say nothing about a GPU.</p>",
        _chart(report, "Time", lambda graph: (graph.latency_ms, f"{graph.latency_ms:.2f} ms")),
        _engines(report),
        _sensitivity(report),
        "<h2>How it was built</h2>",
        _provenance(manifest),
    ]
    head = f"<title>{escape(manifest.name)}: parity</title><style>{asset('base.css')}{_STYLE}</style>"
    meta = '<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
    return f'<!doctype html>\n<html lang="en"><head>{meta}{head}</head><body>{"".join(parts)}</body></html>\n'


def _provenance(manifest: Manifest) -> str:
    """Origin of the bundle, as far as its manifest tells."""
    record = manifest.provenance
    training, calibration = _part(record, "training"), _part(record, "calibration")
    rows = {
        "exported with": f"<code>{escape(str(record.get('command', '')))}</code>",
        "trained with": f"<code>{escape(str(training.get('command', '')))}</code>",
        "calibrated on": _calibration(calibration),
        "classes": escape(", ".join(manifest.labels)),
        "libraries": escape(", ".join(f"{name} {text}" for name, text in _part(record, "versions").items())),
    }
    cells = (f"<tr><td>{name}</td><td class='long'>{text}</td></tr>" for name, text in rows.items() if text)
    return f"<div class='scroll'><table>{''.join(cells)}</table></div>"


def _calibration(record: dict[str, Any]) -> str:
    if not record:
        return ""
    samples = ", ".join(f"{name} {count}" for name, count in _part(record, "samples").items())
    kind = "recordings" if record.get("source") == "media" else "generated clips"
    return escape(f"{record.get('clips')} {kind} by {record.get('method')}; samples: {samples}")


def _part(record: dict[str, Any], name: str) -> dict[str, Any]:
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _cards(report: Report) -> str:
    cards = (
        f"<div class='card'>{escape(precision)}<b>{variant.chain.label_agreement:.2%}</b>same label<br>"
        f"{_change(variant.chain)} macro-F1<br>{_megabytes(_size(variant))}</div>"
        for precision, variant in report.variants.items()
    )
    return f"<div class='cards'>{''.join(cards)}</div>"


def _change(chain: ChainParity) -> str:
    return f"{chain.macro_f1_change:+.4f}"


def _size(variant: VariantParity) -> int:
    return sum(graph.size_bytes for graph in variant.graphs.values())


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.2f} MB"


_COLUMNS: Final = (
    "variant",
    "graph",
    "cosine",
    "smallest",
    "largest error",
    "non-finite",
    "quantised layers",
    "size",
    "time",
    "batch",
)


def _table(report: Report) -> str:
    rows = (
        _cells(precision, name, graph)
        for precision, variant in report.variants.items()
        for name, graph in variant.graphs.items()
    )
    head = "".join(f"<th>{column}</th>" for column in _COLUMNS)
    return f"<div class='scroll'><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _cells(precision: Precision, name: str, graph: GraphParity) -> str:
    cells: Iterable[object] = (
        precision,
        name,
        f"{graph.cosine_mean:.5f}",
        f"{graph.cosine_min:.5f}",
        f"{graph.max_abs_error:.2e}",
        graph.non_finite,
        f"{graph.quantized_layers} of {graph.products}",
        _megabytes(graph.size_bytes),
        f"{graph.latency_ms:.2f} ms",
        graph.latency_batch,
    )
    return f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"


def _chart(report: Report, title: str, measure: Callable[[GraphParity], tuple[float, str]]) -> str:
    rows = [
        Bar(f"{name} {precision}", *measure(variant.graphs[name]))
        for name in next(iter(report.variants.values())).graphs
        for precision, variant in report.variants.items()
    ]
    return f"<figure>{bars(title, rows)}</figure>"


_ENGINE_COLUMNS: Final = (
    "builder",
    "graph",
    "variant",
    "built for",
    "kernels",
    "products",
    "attention in one kernel",
    "weights turned back",
    "engine",
    "activations",
)


def _engines(report: Report) -> str:
    """Results of the builders for the graphs."""
    if not report.engines:
        return ""
    head = "".join(f"<th>{column}</th>" for column in _ENGINE_COLUMNS)
    rows = "".join(map(_engine_cells, report.engines))
    return (
        "<h2>Engines, layer by layer</h2><p class='soft'>Read from the builder's own layer table, which says "
        "nothing about speed. Products are counted by the numbers that they multiply.</p>"
        f"<div class='scroll'><table><tr>{head}</tr>{rows}</table></div>"
    )


def _engine_cells(engine: EngineReport) -> str:
    found = engine.inspection
    cells: Iterable[object] = (
        engine.backend,
        engine.graph,
        engine.precision,
        engine.built_for,
        found.kernels,
        ", ".join(f"{count} {kind}" for kind, count in sorted(found.products.items())),
        found.fused_attention,
        found.dequantised,
        _megabytes(found.engine_bytes),
        _megabytes(found.activation_bytes),
    )
    return f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"


def _sensitivity(report: Report) -> str:
    if not report.sensitivity:
        return ""
    shown = report.sensitivity[:_LONGEST_RANKING]
    rows = [
        Bar(
            f"{layer.graph}: {layer.layer}",
            layer.divergence,
            f"{layer.divergence:.2e} nats",
            "" if layer.quantized else "keep",
        )
        for layer in shown
    ]
    quantized = sum(layer.quantized for layer in report.sensitivity)
    caption = (
        "Divergence of the label probabilities when this layer alone is in INT8, most sensitive first"
        f"{f' ({len(shown)} of {len(report.sensitivity)})' if len(shown) < len(report.sensitivity) else ''}. "
        f"{quantized} of {len(report.sensitivity)} layers are in INT8; those in orange stayed out."
    )
    return (
        f"<h2>Sensitivity of the layers</h2><figure>{bars('Sensitivity of the layers', rows)}"
        f"<figcaption>{caption}</figcaption></figure>"
    )
