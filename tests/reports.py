"""Made-up parity reports."""

from __future__ import annotations

from collections.abc import Mapping

from emorec_export.report import ChainParity, GraphParity, Reference, Report, VariantParity
from emorec_rt.bundle.manifest import Decoding, Graph, Manifest, Precision, Variant, expected_tensors
from fakes import preprocessing

LABELS = ("a", "b")


def report_of(latencies_ms: Mapping[Precision, float], *, change: float = 0.0) -> Report:
    """A report on one graph, by the time it takes in each precision."""
    return Report(
        reference=Reference(clips=2, rows=300, accuracy=0.9, macro_f1=0.8),
        variants={
            precision: VariantParity(
                graphs={"vision": _graph(latency)},
                chain=ChainParity(
                    label_agreement=0.995, accuracy=0.9, macro_f1=0.8 + change, macro_f1_change=change
                ),
            )
            for precision, latency in latencies_ms.items()
        },
        engine="an engine",
    )


def manifest_of(name: str, notice: str) -> Manifest:
    """A manifest of files that are nowhere."""
    spec = preprocessing()
    variant = Variant(file="x.onnx", sha256="0" * 64, size_bytes=1)
    graphs = {
        graph: Graph(inputs=inputs, outputs=outputs, variants={"fp32": variant})
        for graph, (inputs, outputs) in expected_tensors(spec, len(LABELS)).items()
    }
    return Manifest(
        name=name, labels=LABELS, preprocessing=spec, decoding=Decoding(), graphs=graphs, notice=notice
    )


def _graph(latency_ms: float) -> GraphParity:
    return GraphParity(
        cosine_mean=1.0,
        cosine_min=1.0,
        max_abs_error=0.25,
        magnitude=5.0,
        non_finite=0,
        quantized_layers=3,
        products=9,
        size_bytes=1_000_000,
        latency_batch=16,
        latency_ms=latency_ms,
    )
