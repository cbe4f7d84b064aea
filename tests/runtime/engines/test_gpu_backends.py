"""On a GPU: ONNX Runtime's providers and whole runs, against the CPU. Skipped elsewhere."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import gpu
from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName
from emorec_rt.engines import describe
from emorec_rt.engines.compare import compare
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.engines.ort_cuda import open_cuda
from emorec_rt.engines.ort_gpu import OrtGpuEngine
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer

pytestmark = pytest.mark.gpu
BUNDLE = open_bundle()
DEMO_CLIP = Path(__file__).parents[3] / "examples" / "demo.mp4"
GPU_BACKENDS = ("onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


@pytest.mark.parametrize("graph", GRAPH_NAMES)
@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_a_graph_gives_what_the_cpu_gives(backend: str, graph: GraphName) -> None:
    gpu.need(backend)
    path, entry = BUNDLE.graph_file(graph, "fp32"), BUNDLE.manifest.graphs[graph]
    reference = OrtEngine(path, entry.inputs, entry.outputs)
    compare(path.name, describe(backend).open(path, entry), reference, "fp32")


def test_cuda_graphs_replay_new_inputs() -> None:
    gpu.need("onnxruntime-cuda")
    path, entry = BUNDLE.graph_file("vision", "fp32"), BUNDLE.manifest.graphs["vision"]
    engine, reference = open_cuda(path, entry), OrtEngine(path, entry.inputs, entry.outputs)
    assert isinstance(engine, OrtGpuEngine)
    generator = np.random.default_rng(0)
    for batch in (8, 8, 8, 3, 8, 3, 3, 1, 8):
        frames = generator.integers(0, 256, (batch, *entry.inputs[0].shape[1:]), np.uint8)
        expected = reference.run({"frames": frames})["embeddings"]
        np.testing.assert_allclose(
            engine.run({"frames": frames})["embeddings"], expected, rtol=0.05, atol=0.05
        )


@pytest.mark.parametrize("backend", GPU_BACKENDS)
def test_a_whole_clip_has_the_cpu_s_labels(backend: str) -> None:
    gpu.need(backend)
    labels = {
        name: [row.label for row in Recognizer(BUNDLE, Options(backend=name)).stream(DEMO_CLIP)]
        for name in ("onnxruntime", backend)
    }
    pairs = list(zip(*labels.values(), strict=True))
    assert sum(a == b for a, b in pairs) >= 0.99 * len(pairs)
