"""From an FP32 graph to one of its variants, as ``recipe`` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from onnx import ModelProto

from emorec_calib.ranges import GraphRanges
from emorec_export.half import to_half
from emorec_export.joint import split_joint
from emorec_export.quantize import quantize
from emorec_export.recipe import RECIPES
from emorec_export.storage import store_small
from emorec_rt.bundle.manifest import Precision
from emorec_rt.constants import PRECISIONS


def wanted(
    *, fp16: bool = False, int8: bool = False, fp8: bool = False, gpu: bool = False
) -> tuple[Precision, ...]:
    """The variants of a bundle. FP32 is always among them: the others are made from it and compared with it.

    Args:
        fp16: Make ``fp16``.
        int8: Make ``int8``; together with ``fp16`` or ``gpu`` also ``int8-fp16``, the INT8 of TensorRT.
        fp8: Make ``fp8``.
        gpu: Whether TensorRT will build from it.
    """
    chosen = {"fp32": True, "fp16": fp16, "int8": int8, "int8-fp16": int8 and (fp16 or gpu), "fp8": fp8}
    return tuple(precision for precision in PRECISIONS if chosen[precision])


def exported_precision(precisions: Sequence[Precision]) -> Precision:
    """Variant that a bundle runs by default: INT8 if it was made, which CPUs run fast, else FP32.

    FP16 and FP8 are for GPUs, whose backends take them where a bundle has them.
    """
    return "int8" if "int8" in precisions else "fp32"


def needs_ranges(precision: Precision) -> bool:
    """Say whether a variant has quantised products."""
    return precision in RECIPES and RECIPES[precision].numbers is not None


def needs_magnitudes(precision: Precision) -> bool:
    """Say whether a variant has FP16 tensors, which real data must not overflow."""
    return precision in RECIPES and RECIPES[precision].half


def make_variant(
    model: ModelProto,
    precision: Precision,
    ranges: GraphRanges | None = None,
    magnitudes: Mapping[str, float] | None = None,
    keep: frozenset[str] = frozenset(),
) -> ModelProto:
    """Make one variant of a graph.

    Args:
        model: The FP32 graph; it is not changed.
        precision: Which variant.
        ranges: What was observed on the graph, for ``needs_ranges``.
        magnitudes: Of its tensors, for ``needs_magnitudes``.
        keep: Nodes that stay in floating point besides those that the recipe excludes.

    Raises:
        CalibrationError: A range is missing.
    """
    recipe = RECIPES[precision]
    if recipe.numbers is not None:
        if ranges is None:
            raise ValueError(f"{precision} needs ranges")
        model = quantize(model, ranges, recipe, keep)
        if recipe.apart:
            model = split_joint(model)
        if not recipe.half:
            store_small(model)
    return to_half(model, magnitudes or {}) if recipe.half else model
