"""The parity report as data, as a table, and as a verdict."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec

from emorec_rt.bundle.manifest import GraphName, Precision
from emorec_rt.engines.preparing import RIVALS
from emorec_rt.engines.tensorrt.layers import Inspection

FP32_TOLERANCE: Final = 1e-4
"""Largest error of an FP32 graph against PyTorch, relative to the largest output (at least 1)."""


USUAL_AGREEMENT: Final[dict[Precision, float]] = {
    "fp16": 0.999,
    "int8": 0.995,
    "int8-fp16": 0.995,
    "fp8": 0.995,
}
"""Share of rows with PyTorch's label, below which a line warns."""


class GraphParity(msgspec.Struct, frozen=True, kw_only=True):
    """One graph in one precision against the PyTorch module, on the same inputs.

    Attributes:
        cosine_mean: Mean cosine of embeddings, tokens or logits.
        cosine_min: Smallest.
        max_abs_error: Largest error of any output.
        magnitude: Largest output of the reference.
        non_finite: Outputs that are NaN or infinite.
        quantized_layers: Products that run in INT8 or FP8, counted in the graph.
        products: Products with weights that there are.
        size_bytes: Size of the file.
        latency_batch: Batch of the latency.
        latency_ms: Median time of one batch on the machine that built, milliseconds.
    """

    cosine_mean: float
    cosine_min: float
    max_abs_error: float
    magnitude: float
    non_finite: int
    quantized_layers: int
    products: int
    size_bytes: int
    latency_batch: int
    latency_ms: float


class MeasureParity(msgspec.Struct, frozen=True, kw_only=True):
    """What is told beside the classes in one precision, on the rows of held-out clips.

    Attributes:
        concordance: CCC of valence and of arousal with PyTorch's.
        unit_agreement: Share of rows on which an action unit is present as in PyTorch, by its name.
        mean_ccc: Mean CCC of valence and arousal with the truth; 0 without labels.
        mean_ccc_change: Against PyTorch's.
        unit_f1: Mean F1 of the labelled action units; 0 without labels.
        unit_f1_change: Against PyTorch's.
    """

    concordance: dict[str, float] = {}
    unit_agreement: dict[str, float] = {}
    mean_ccc: float = 0.0
    mean_ccc_change: float = 0.0
    unit_f1: float = 0.0
    unit_f1_change: float = 0.0


class ChainParity(msgspec.Struct, frozen=True, kw_only=True):
    """The whole chain in one precision, on held-out clips.

    Attributes:
        label_agreement: Share of rows with the reference's label.
        accuracy: Against the truth.
        macro_f1: Against the truth, over the classes that occur in it.
        macro_f1_change: Relative to the reference; negative is worse.
        f1: F1 of each class.
        non_finite: Outputs that are NaN or infinite, over all clips.
        measures: What is told beside the classes; ``None`` where that is nothing.
    """

    label_agreement: float
    accuracy: float
    macro_f1: float
    macro_f1_change: float
    f1: dict[str, float] = {}
    non_finite: int = 0
    measures: MeasureParity | None = None


class VariantParity(msgspec.Struct, frozen=True, kw_only=True):
    """All graphs in one precision, and the chain of them."""

    graphs: dict[GraphName, GraphParity]
    chain: ChainParity


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """The PyTorch model in FP32 on the held-out clips.

    Attributes:
        clips: Number of clips.
        rows: Rows that the runtime writes about them, decoded: one for each frame.
        accuracy: Against the truth.
        macro_f1: Against the truth, over the classes that occur in it.
        f1: F1 of each class.
        support: Labelled rows of each class.
    """

    clips: int
    rows: int
    accuracy: float
    macro_f1: float
    f1: dict[str, float] = {}
    support: dict[str, int] = {}


class LayerSensitivity(msgspec.Struct, frozen=True, kw_only=True):
    """Effect of quantising one layer and nothing else.

    Attributes:
        graph: The graph that the layer is in.
        layer: Its name there.
        cosine: Mean cosine of the graph's output with FP32's.
        divergence: Mean Kullback-Leibler divergence of the label probabilities from FP32's, nats a step.
        quantized: Whether the layer ended up in INT8.
    """

    graph: GraphName
    layer: str
    cosine: float
    divergence: float
    quantized: bool


class EngineReport(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a builder for one graph.

    Attributes:
        backend: The builder.
        graph: Which graph.
        precision: In which variant.
        built_for: GPU or targets, and the builder's release.
        inspection: The layer table, summed up.
    """

    backend: str
    graph: GraphName
    precision: Precision
    built_for: str
    inspection: Inspection

    def warnings(self) -> Iterator[str]:
        """Warnings: a product that is not in the asked numbers, one line each."""
        for line in self.inspection.warnings():
            yield f"{self.graph} {self.precision} with {self.backend}: {line}"


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Part that the manifest keeps.

    Attributes:
        reference: What every variant is compared with.
        variants: By precision.
        engine: Library and device behind every latency.
        sensitivity: The layers from most to least sensitive; empty unless the build looked for the best mix.
        engines: What builders made of the graphs; empty unless one was asked to.
    """

    reference: Reference
    variants: dict[Precision, VariantParity]
    engine: str = ""
    sensitivity: tuple[LayerSensitivity, ...] = ()
    engines: tuple[EngineReport, ...] = ()


def failures(report: Report, max_drop: float) -> Iterator[str]:
    """Reason why a build must not be kept, one line each.

    Args:
        report: The report.
        max_drop: Largest loss of macro-F1 against the reference.
    """
    for precision, variant in report.variants.items():
        for name, graph in variant.graphs.items():
            if graph.non_finite:
                yield f"{name} {precision} gives {graph.non_finite} non-finite values"
            elif precision == "fp32" and graph.max_abs_error > FP32_TOLERANCE * max(graph.magnitude, 1.0):
                yield f"{name} fp32 is off by {graph.max_abs_error:.2g}"
        if variant.chain.non_finite:
            yield f"{precision} gives {variant.chain.non_finite} non-finite logits on the held-out clips"
        if variant.chain.macro_f1_change < -max_drop:
            yield (
                f"{precision} loses {-variant.chain.macro_f1_change:.4f} macro-F1, "
                f"more than --max-drop {max_drop:g}"
            )
        yield from _measure_failures(precision, variant.chain.measures, max_drop)


def _measure_failures(precision: Precision, found: MeasureParity | None, max_drop: float) -> Iterator[str]:
    if found is None:
        return
    changes = {"mean CCC": found.mean_ccc_change, "macro-F1 of action units": found.unit_f1_change}
    for name, change in changes.items():
        if change < -max_drop:
            yield f"{precision} loses {-change:.4f} {name}, more than --max-drop {max_drop:g}"


def warnings(report: Report) -> Iterator[str]:
    """Warnings: more other labels than usual, or no gain where it was built, a line each."""
    for precision, variant in report.variants.items():
        if variant.chain.label_agreement < (usual := USUAL_AGREEMENT.get(precision, 0.0)):
            hint = "" if precision == "fp16" else ": other --calib clips or --auto-mixed may help"
            yield (
                f"{precision} gives the same label at {variant.chain.label_agreement:.2%} of the rows; "
                f"{usual:.1%} is usual{hint}"
            )
        for rival in RIVALS.get(precision, ()):
            if rival not in report.variants:
                continue
            slower = [
                f"{name} {graph.latency_ms:.2f} against {other.latency_ms:.2f} ms"
                for name, graph in variant.graphs.items()
                if graph.latency_ms >= (other := report.variants[rival].graphs[name]).latency_ms
            ]
            if slower:
                yield f"{precision} is no faster than {rival} with {report.engine}: {', '.join(slower)}"
    for engine in report.engines:
        yield from engine.warnings()


def table(report: Report) -> str:
    """The report for a terminal."""
    reference = report.reference
    lines = [
        f"{'variant':<11}{'graph':<8}{'cosine':>9}{'min':>9}{'max error':>11}{'bad':>5}{'quantised':>11}"
        f"{'MB':>8}{'ms':>9}{'batch':>7}"
    ]
    for precision, variant in report.variants.items():
        lines += [
            f"{precision:<11}{name:<8}{graph.cosine_mean:>9.5f}{graph.cosine_min:>9.5f}"
            f"{graph.max_abs_error:>11.2e}{graph.non_finite:>5}"
            f"{f'{graph.quantized_layers} of {graph.products}':>11}"
            f"{graph.size_bytes / 1e6:>8.2f}{graph.latency_ms:>9.2f}{graph.latency_batch:>7}"
            for name, graph in variant.graphs.items()
        ]
    lines.append(
        f"whole chain on {reference.clips} held-out clips ({reference.rows} rows): "
        f"PyTorch accuracy {reference.accuracy:.4f}, macro-F1 {reference.macro_f1:.4f}"
    )
    lines += [
        f"{precision:<11}same label {variant.chain.label_agreement:.2%}, "
        f"macro-F1 {variant.chain.macro_f1:.4f} ({variant.chain.macro_f1_change:+.4f})"
        for precision, variant in report.variants.items()
    ]
    lines += [line for name, variant in report.variants.items() for line in _measure_lines(name, variant)]
    lines += class_lines(report)
    lines.append(f"latencies: {report.engine}; FP16 and FP8 have hardly any kernels on CPUs and are for GPUs")
    lines += [f"warning: {line}" for line in warnings(report)]
    return "\n".join(lines)


def _measure_lines(precision: Precision, variant: VariantParity) -> list[str]:
    found = variant.chain.measures
    if found is None:
        return []
    told = [f"CCC with PyTorch's {name} {value:.4f}" for name, value in found.concordance.items()]
    if found.concordance:
        told.append(f"mean CCC {found.mean_ccc:.4f} ({found.mean_ccc_change:+.4f})")
    if found.unit_agreement:
        least = min(found.unit_agreement, key=lambda name: found.unit_agreement[name])
        told.append(f"same action units at {found.unit_agreement[least]:.2%} or more ({least})")
        told.append(f"their macro-F1 {found.unit_f1:.4f} ({found.unit_f1_change:+.4f})")
    return [f"{precision:<11}{', '.join(told)}"]


def class_lines(report: Report) -> list[str]:
    """F1 of each class that occurs, by variant, with its number of rows; the rarest class first."""
    support = {name: count for name, count in report.reference.support.items() if count}
    names = sorted(support, key=lambda name: support[name])
    if not names:
        return []
    head = "".join(f"{f'{name[:9]} ({support[name]})':>18}" for name in names)
    rows = {"PyTorch": report.reference.f1}
    rows |= {precision: variant.chain.f1 for precision, variant in report.variants.items()}
    return [
        f"{'F1 (rows)':<11}{head}",
        *(f"{title:<11}" + "".join(f"{own[name]:>18.4f}" for name in names) for title, own in rows.items()),
    ]
