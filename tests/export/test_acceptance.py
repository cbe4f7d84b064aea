"""Tools that others trust take every graph: onnx.checker, onnxruntime, OpenVINO, NVIDIA's Polygraphy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest

from emorec_rt.bundle import open_bundle
from emorec_rt.engines.compare import compare
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.engines.ov import OpenVinoEngine
from emorec_rt.manifest import GRAPH_NAMES, Graph, GraphName, Precision, expected_tensors
from tiny_model import CONFIG, LABELS

DEMO = open_bundle()
SHIPPED = [
    pytest.param(graph, precision, id=f"{graph}-{precision}")
    for graph in GRAPH_NAMES
    for precision in DEMO.manifest.graphs[graph].variants
]


def shipped(graph: GraphName, precision: Precision) -> tuple[Path, Graph]:
    return DEMO.graph_file(graph, precision), DEMO.manifest.graphs[graph]


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


@pytest.mark.parametrize("graph", GRAPH_NAMES)
def test_a_transformer_s_graphs(graph: GraphName, graph_files: dict[GraphName, Path]) -> None:
    """The shipped tower is a ResNet; this one is a ViT, as the reference model's."""
    path = graph_files[graph]
    tensors = expected_tensors(CONFIG.preprocessing, len(LABELS))[graph]
    onnx.checker.check_model(onnx.load(path), full_check=True)
    reference = OrtEngine(path, *tensors, threads=1)
    engine = OpenVinoEngine(path, *tensors, threads=1)
    assert compare(path.name, engine, reference, "fp32").cosine > 0.9999
    assert "Graph Input(s)" in inspect(path)
