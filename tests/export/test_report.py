"""The verdict on a report."""

from __future__ import annotations

import msgspec
import pytest

from emorec_export.report import (
    ChainParity,
    GraphParity,
    Reference,
    Report,
    VariantParity,
    class_lines,
    failures,
    table,
    warnings,
)
from emorec_rt.bundle.manifest import Precision


def _report(precision: Precision, *, error: float = 0.0, bad: int = 0, change: float = 0.0) -> Report:
    graph = GraphParity(
        cosine_mean=1.0,
        cosine_min=1.0,
        max_abs_error=error,
        magnitude=5.0,
        non_finite=bad,
        quantized_layers=3,
        products=9,
        size_bytes=1_000_000,
        latency_batch=16,
        latency_ms=2.0,
    )
    chain = ChainParity(label_agreement=0.995, accuracy=0.9, macro_f1=0.8 + change, macro_f1_change=change)
    return Report(
        reference=Reference(clips=2, rows=300, accuracy=0.9, macro_f1=0.8),
        variants={precision: VariantParity(graphs={"vision": graph}, chain=chain)},
    )


def test_classes_that_occur_have_a_row_each() -> None:
    report = _report("int8")
    known = msgspec.structs.replace(
        report,
        reference=msgspec.structs.replace(
            report.reference, f1={"a": 0.5, "b": 0.9, "c": 0.0}, support={"a": 300, "b": 20, "c": 0}
        ),
        variants={
            "int8": msgspec.structs.replace(
                report.variants["int8"],
                chain=msgspec.structs.replace(
                    report.variants["int8"].chain, f1={"a": 0.25, "b": 0.75, "c": 0.0}
                ),
            )
        },
    )
    head, reference, variant = (line.split() for line in class_lines(known))
    assert head == ["F1", "(rows)", "b", "(20)", "a", "(300)"]
    assert (reference, variant) == (["PyTorch", "0.9000", "0.5000"], ["int8", "0.7500", "0.2500"])
    assert class_lines(report) == []


@pytest.mark.parametrize(
    "report",
    [
        _report("fp32", error=4e-4),
        _report("int8", error=0.3, change=-0.01),
        _report("int8", change=0.02),
    ],
)
def test_kept(report: Report) -> None:
    assert list(failures(report, 0.01)) == []


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (_report("fp32", error=6e-4), "vision fp32 is off by 0.0006"),
        (_report("int8", bad=2), "vision int8 gives 2 non-finite values"),
        (_report("int8", change=-0.011), "int8 loses 0.0110 macro-F1, more than --max-drop 0.01"),
    ],
)
def test_refused(report: Report, reason: str) -> None:
    assert list(failures(report, 0.01)) == [reason]


def test_a_nan_is_refused_whatever_else_it_does() -> None:
    assert list(failures(_report("fp32", error=float("nan"), bad=1), 0.01))


def test_a_logit_that_is_no_number_on_any_clip_is_refused() -> None:
    report = _report("int8")
    variant = report.variants["int8"]
    chain = msgspec.structs.replace(variant.chain, non_finite=3)
    broken = msgspec.structs.replace(report, variants={"int8": msgspec.structs.replace(variant, chain=chain)})
    assert list(failures(broken, 1.0)) == ["int8 gives 3 non-finite logits on the held-out clips"]


@pytest.mark.parametrize(("precision", "told"), [("int8", False), ("fp16", True)])
def test_more_other_labels_than_usual_are_told(precision: Precision, told: bool) -> None:
    """The report has 99.5 %."""
    assert any("99.9% is usual" in line for line in warnings(_report(precision))) == told


def test_table_and_json_hold_the_numbers() -> None:
    report = _report("int8", error=0.25, change=-0.005)
    shown = table(report)
    assert "99.50%" in shown
    assert "2.50e-01" in shown
    assert "-0.0050" in shown
    assert msgspec.convert(msgspec.to_builtins(report), Report) == report
