"""The best mix of INT8 and floating point: as many layers in INT8 as the allowed loss of macro-F1 lets be.

Layers are ranked by what quantising each alone does to the labels, and quantised from the least sensitive on.
Clips of the validation split decide, so that the held-out clips of the report stay fresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec
import onnx

from emorec_calib.ranges import Ranges
from emorec_export.quantize import quantize
from emorec_export.recipe import ALPHA, RECIPES, Recipe
from emorec_export.report import LayerSensitivity
from emorec_export.sensitivity import Bench, layers, measure, most_layers
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision

Keep = Mapping[GraphName, frozenset[str]]
"""The layers of each graph that stay in floating point."""

Track = Callable[[Iterable[Any], str, int], AbstractContextManager[Iterable[Any]]]


def int8_recipe(precisions: Iterable[Precision]) -> Recipe:
    """One recipe that covers every INT8 variant of a build, in FP32 otherwise: the rounding is the same."""
    chosen = [RECIPES[name] for name in precisions if name in RECIPES and RECIPES[name].numbers == "int8"]
    return Recipe("int8", frozenset().union(*(recipe.ops for recipe in chosen)), half=False, alpha=ALPHA)


def best_mix(
    bench: Bench, ranges: Ranges, recipe: Recipe, max_drop: float, scratch: Path, track: Track
) -> tuple[LayerSensitivity, ...]:
    """Rank the layers and choose those for INT8.

    Args:
        bench: Clips and FP32 engines.
        ranges: Of the graphs.
        recipe: See ``int8_recipe``.
        max_drop: Macro-F1 that may be lost on the bench's clips.
        scratch: A file that may be written and removed again.
        track: Wraps what is iterated, for a progress bar.

    Returns:
        Every layer, the most sensitive first.
    """
    models = {name: onnx.load(path) for name, path in bench.graphs.items()}
    found = layers(models, recipe)
    with track(measure(bench, found, ranges, recipe, scratch), "sensitivity", len(found)) as measured:
        ranked = sorted(measured, key=lambda layer: (-layer.divergence, layer.cosine))

    def drop(count: int) -> float:
        keep = kept(ranked[: len(ranked) - count])
        engines = {
            name: bench.open(name, quantize(model, ranges.graphs[name], recipe, keep[name]), scratch)
            for name, model in models.items()
        }
        return bench.drop(engines)

    count = most_layers(len(ranked), drop, max_drop)
    border = len(ranked) - count
    return tuple(
        msgspec.structs.replace(layer, quantized=index >= border) for index, layer in enumerate(ranked)
    )


def kept(sensitive: Iterable[LayerSensitivity]) -> dict[GraphName, frozenset[str]]:
    """Names of layers by graph."""
    layers_of: dict[GraphName, set[str]] = {name: set() for name in GRAPH_NAMES}
    for layer in sensitive:
        layers_of[layer.graph].add(layer.layer)
    return {name: frozenset(found) for name, found in layers_of.items()}
