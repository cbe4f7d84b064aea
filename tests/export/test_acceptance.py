"""Tools that others trust take every graph: onnx.checker, onnxruntime, OpenVINO, NVIDIA's Polygraphy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from emorec_calib.observe import ObservingEngine
from emorec_calib.ranges import GraphRanges
from emorec_export.graphs import write_graph
from emorec_export.variants import make_variant
from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, Graph, GraphName, Precision, expected_tensors
from emorec_rt.constants import PRECISIONS
from emorec_rt.engines.compare import compare
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.engines.ov import OpenVinoEngine
from random_feeds import random_feeds
from tiny_model import CONFIG, LABELS

DEFAULT = open_bundle()
SHIPPED = [
    pytest.param(graph, precision, id=f"{graph}-{precision}")
    for graph in GRAPH_NAMES
    for precision in DEFAULT.manifest.graphs[graph].variants
]


def shipped(graph: GraphName, precision: Precision) -> tuple[Path, Graph]:
    return DEFAULT.graph_file(graph, precision), DEFAULT.manifest.graphs[graph]


def inspect(path: Path) -> str:
    """What ``polygraphy inspect model`` says."""
    command = [Path(sys.executable).parent / "polygraphy", "inspect", "model", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("graph", "precision"), SHIPPED)
def test_shipped_graphs(graph: GraphName, precision: Precision) -> None:
    path, entry = shipped(graph, precision)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    tensors = (entry.inputs, entry.outputs)
    reference = OrtEngine(path, *tensors, threads=1)
    engine = OpenVinoEngine(path, *tensors, threads=1)
    assert compare(path.name, engine, reference, precision).cosine > 0.99
    text = inspect(path)
    for spec in (*entry.inputs, *entry.outputs):
        assert f"{spec.name} [dtype={spec.dtype}" in text


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("graph", GRAPH_NAMES)
def test_every_variant_of_a_transformer(
    graph: GraphName, precision: Precision, graph_files: dict[GraphName, Path], tmp_path: Path
) -> None:
    """The shipped tower is a plain one; this one is a ViT, as the reference model's."""
    tensors = expected_tensors(CONFIG.preprocessing, len(LABELS))[graph]
    path = graph_files[graph]
    if precision != "fp32":
        model = make_variant(onnx.load(path), precision, _ranges(graph, path))
        path = tmp_path / f"{graph}.{precision}.onnx"
        write_graph(model, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    reference = OrtEngine(path, *tensors, threads=1)
    engine = OpenVinoEngine(path, *tensors, threads=1)
    assert compare(path.name, engine, reference, precision).cosine > 0.99
    assert "Graph Input(s)" in inspect(path)


def _ranges(graph: GraphName, path: Path) -> GraphRanges:
    tensors = expected_tensors(CONFIG.preprocessing, len(LABELS))[graph]
    engine = ObservingEngine(path, *tensors, "max")
    for seed in range(4):
        engine.run(random_feeds(tensors[0], 4, seed))
    return engine.ranges()
