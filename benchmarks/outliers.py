"""Outlier channels: the harm that they do to INT8, and the recipe's answer, at full size.

    python benchmarks/outliers.py            # writes results/outliers.json
    python benchmarks/outliers.py --quick    # the demo's size: only to see that it works

Every norm of the reference model's graphs (CLIP ViT-B/32, wav2vec 2.0 base, the fusion; random weights) gets
a few channels that are 30 to 100 times louder, without changing what the graph computes. Then each graph is
calibrated by ``max`` and quantised twice: plainly, and by the default recipe, which smooths. The default has
to keep a cosine of 0.99 with FP32 in each graph.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import click
import numpy as np
import onnx
from full_size import FULL, QUICK, SEED, Subject, build, feeds, observe
from injection import inject
from machine import save

from emorec_calib.ranges import GraphRanges
from emorec_export.graphs import export_graph, write_graph
from emorec_export.quantize import quantize
from emorec_export.recipe import LINEAR_OPS, RECIPES, Recipe
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName
from emorec_rt.engines.base import Tensors
from emorec_rt.engines.ort import OrtEngine

LIMIT: Final = 0.99
PLAIN: Final = Recipe("int8", LINEAR_OPS, half=False)
"""The default's products and ranges, without smoothing."""

BATCHES: Final = 3
UNSEEN_SEED: Final = 1_000_000
"""Inputs that calibration hasn't seen."""


@dataclass(frozen=True)
class Figure:
    """One graph; each cosine is with the graph before the injection, in FP32.

    Attributes:
        graph: Which graph.
        norms: Norms that have outliers now.
        injected: Cosine after the injection, in FP32: 1, as nothing has changed.
        calm: Of plain INT8 without outliers.
        plain: Of plain INT8 with outliers.
        default: Of the default recipe with outliers.
    """

    graph: GraphName
    norms: int
    injected: float
    calm: float
    plain: float
    default: float

    @property
    def holds(self) -> bool:
        """Say whether the default recipe keeps to the limit."""
        return self.default >= LIMIT


def measure(subject: Subject, name: GraphName, model: onnx.ModelProto, folder: Path) -> Figure:
    """Inject, calibrate, quantise and compare one graph."""
    before, after = folder / "before.onnx", folder / "after.onnx"
    write_graph(model, before)
    calm = observe(subject, name, before)
    expected = list(_answers(subject, name, before))
    small = _cosine(subject, name, _quantised(before, calm, PLAIN), expected, folder)
    norms = inject(model, SEED)
    write_graph(model, after)
    ranges = observe(subject, name, after)
    found = {
        kind: _cosine(subject, name, _quantised(after, ranges, recipe), expected, folder)
        for kind, recipe in (("plain", PLAIN), ("default", RECIPES["int8"]))
    }
    injected = _cosine(subject, name, onnx.load(after), expected, folder)
    return Figure(name, norms, injected, small, found["plain"], found["default"])


def _quantised(path: Path, ranges: GraphRanges, recipe: Recipe) -> onnx.ModelProto:
    return quantize(onnx.load(path), ranges, recipe)


def _answers(subject: Subject, name: GraphName, path: Path) -> Iterator[Tensors]:
    engine = OrtEngine(path, *subject.tensors[name])
    for number in range(BATCHES):
        yield engine.run(feeds(subject, name, subject.batches[name], UNSEEN_SEED + number))


def _cosine(
    subject: Subject, name: GraphName, model: onnx.ModelProto, expected: list[Tensors], folder: Path
) -> float:
    """Mean over embeddings, tokens or logits."""
    path = folder / "tried.onnx"
    write_graph(model, path)
    cosines = []
    for found, wanted in zip(_answers(subject, name, path), expected, strict=True):
        for output, values in wanted.items():
            left, right = (
                array.reshape(-1, array.shape[-1]).astype(np.float64) for array in (values, found[output])
            )
            norms = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
            cosines.append((left * right).sum(axis=1) / np.maximum(norms, 1e-12))
    return float(np.concatenate(cosines).mean())


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="The demo's size; nothing is saved.")
def main(quick: bool) -> None:
    """Measure, print, save; exit with 1 where the limit is missed."""
    subject = QUICK if quick else FULL
    models, figures = build(subject), []
    click.echo(f"{'graph':8}{'norms':>6}{'fp32':>10}{'int8 calm':>11}{'plain':>9}{'default':>9}")
    for name in GRAPH_NAMES:
        labels = len(subject.config.labels)
        model = export_graph(name, getattr(models, name), subject.config.preprocessing, labels)
        with tempfile.TemporaryDirectory() as folder:
            figure = measure(subject, name, model, Path(folder))
        mark = "" if figure.holds else f"  MISSED, at least {LIMIT}"
        click.echo(
            f"{name:8}{figure.norms:>6}{figure.injected:>10.5f}{figure.calm:>11.4f}{figure.plain:>9.4f}"
            f"{figure.default:>9.4f}{mark}"
        )
        figures.append(figure)
    if quick:
        return
    result = {"model": subject.name, "limit": LIMIT, "figures": [asdict(figure) for figure in figures]}
    click.echo(f"saved {save('outliers', result)}")
    if not all(figure.holds for figure in figures):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
