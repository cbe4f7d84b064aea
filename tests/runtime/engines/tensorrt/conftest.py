"""Fixtures of the TensorRT backend's tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import Graph, TensorSpec, Variant
from emorec_rt.engines.tensorrt import api, cuda, memory
from emorec_rt.engines.tensorrt.cuda import Device
from gpu import need
from simulated_cuda import SimulatedCuda

INPUT = TensorSpec(name="frames", dtype="uint8", shape=(-1, 6))
OUTPUT = TensorSpec(name="embeddings", dtype="float32", shape=(-1, 5))
JETSON = Device(
    name="Orin (nvgpu)",
    compute_capability=(8, 7),
    integrated=True,
    memory_bytes=8 << 30,
    driver=12060,
    runtime=12060,
)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> SimulatedCuda:
    """A CUDA runtime in host memory, wherever the backend asks for one."""
    runtime = SimulatedCuda()
    for module in (api, cuda, memory):
        monkeypatch.setattr(module, "import_cuda_runtime", lambda: runtime)
    return runtime


@pytest.fixture
def jetson() -> Device:
    """A device to name plans after."""
    return JETSON


@pytest.fixture
def gpu() -> None:
    """A GPU with TensorRT and the CUDA bindings, or a skip that says what is missing."""
    need("tensorrt")


@pytest.fixture
def graph(tmp_path: Path) -> tuple[Path, Graph]:
    """``embeddings = (frames - 128) @ weights`` as an FP32 graph in a folder of its own."""
    path = tmp_path / "bundle" / "vision.fp32.onnx"
    path.parent.mkdir()
    weights = np.random.default_rng(3).standard_normal((6, 5), np.float32)
    nodes = [
        helper.make_node("Cast", ["frames"], ["cast"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Sub", ["cast", "middle"], ["centred"], name="centre"),
        helper.make_node("MatMul", ["centred", "weights"], ["embeddings"], name="project"),
    ]
    constants = [
        onnx.numpy_helper.from_array(weights, "weights"),
        onnx.numpy_helper.from_array(np.float32(128), "middle"),
    ]
    inputs = [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", 6])]
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", 5])]
    model = helper.make_graph(nodes, "project", inputs, outputs, constants)
    onnx.save(helper.make_model(model, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    variant = Variant(file=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)
    return path, Graph(inputs=(INPUT,), outputs=(OUTPUT,), variants={"fp32": variant})


@pytest.fixture
def user_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """A cache folder of the test's own; gives the files in it."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return lambda: sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
