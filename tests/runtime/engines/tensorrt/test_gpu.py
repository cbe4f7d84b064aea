# ruff: noqa: ARG005 - doubles take what the real ones take
"""On a GPU with TensorRT: real plans, real graphs, real copies. Skipped elsewhere."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import Graph
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.engines.tensorrt import (
    BatchRange,
    BuildCancelledError,
    BuildOptions,
    TensorRTEngine,
    ensure_plan,
    open_tensorrt,
)
from emorec_rt.engines.tensorrt.memory import DeviceBuffer
from emorec_rt.errors import BundleError, EngineError, OutOfMemoryError

pytestmark = [pytest.mark.gpu, pytest.mark.usefixtures("gpu", "user_cache")]
QUICK = BuildOptions(batch=BatchRange(1, 4, 8), optimization_level=0, tf32=False)


def _frames(batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"frames": np.random.default_rng(seed).integers(0, 256, (batch, 6), np.uint8)}


def test_a_plan_gives_what_the_graph_gives(graph: tuple[Path, Graph]) -> None:
    path, entry = graph
    engine = open_tensorrt(path, entry, options=QUICK)
    reference = OrtEngine(path, entry.inputs, entry.outputs)
    for seed, batch in enumerate([1, 8, 8, 8, 0, 3, 19, 3, 1]):
        feeds = _frames(batch, seed)
        expected = reference.run(feeds)["embeddings"]
        np.testing.assert_allclose(engine.run(feeds)["embeddings"], expected, rtol=1e-4, atol=1e-2)


def test_plain_runs_and_cuda_graphs_agree_to_the_bit(graph: tuple[Path, Graph]) -> None:
    plan = ensure_plan(*graph, options=QUICK)
    tensors = (graph[1].inputs, graph[1].outputs)
    plain, captured = TensorRTEngine(plan, *tensors, cuda_graphs=0), TensorRTEngine(plan, *tensors)
    for seed in range(5):
        expected = plain.run(_frames(8, seed))["embeddings"]
        np.testing.assert_array_equal(captured.run(_frames(8, seed))["embeddings"], expected)


def test_a_plan_is_built_once(graph: tuple[Path, Graph], caplog: pytest.LogCaptureFixture) -> None:
    plan = ensure_plan(*graph, options=QUICK)
    built = plan.stat().st_mtime_ns
    assert plan.with_name("timings.cache").is_file()
    caplog.clear()
    assert ensure_plan(*graph, options=QUICK).stat().st_mtime_ns == built
    assert not caplog.records


@pytest.mark.parametrize("options", [{"refit": True}, {"version_compatible": True}, {"detailed": True}])
def test_other_kinds_of_plans_run_too(graph: tuple[Path, Graph], options: dict[str, bool]) -> None:
    engine = open_tensorrt(*graph, options=msgspec.structs.replace(QUICK, **options))
    assert engine.run(_frames(2))["embeddings"].shape == (2, 5)


def test_a_build_can_be_stopped(graph: tuple[Path, Graph]) -> None:
    with pytest.raises(BuildCancelledError):
        ensure_plan(*graph, options=QUICK, progress=lambda phase, done, steps: False)
    assert not list(graph[0].parent.rglob("*.plan"))


def test_an_operator_it_does_not_know_is_named(graph: tuple[Path, Graph]) -> None:
    path, entry = graph
    model = onnx.load(path)
    model.graph.node[2].CopyFrom(
        helper.make_node("Nonsense", ["centred", "weights"], ["embeddings"], name="odd", domain="nowhere")
    )
    model.opset_import.append(helper.make_opsetid("nowhere", 1))
    onnx.save(model, path)
    variant = msgspec.structs.replace(entry.variants["fp32"], sha256=sha256_of(path))
    changed = msgspec.structs.replace(entry, variants={"fp32": variant})
    with pytest.raises(BundleError, match=r"odd.*Nonsense"):
        ensure_plan(path, changed, options=QUICK, check=False)


def test_a_damaged_plan_is_an_error(graph: tuple[Path, Graph]) -> None:
    plan = ensure_plan(*graph, options=QUICK)
    plan.write_bytes(plan.read_bytes()[:1000])
    with pytest.raises(EngineError, match="loading the plan"):
        TensorRTEngine(plan, graph[1].inputs, graph[1].outputs)


def test_a_full_gpu_is_told_apart() -> None:
    with pytest.raises(OutOfMemoryError, match="full"):
        DeviceBuffer(1 << 50)


def test_int8_graphs_are_taken(tmp_path: Path) -> None:
    """Explicit Q/DQ in a strongly typed network, as the export writes it."""
    path = tmp_path / "vision.int8.onnx"
    weights = np.random.default_rng(3).standard_normal((64, 32), np.float32)
    scales = (np.abs(weights).max(axis=0) / 127).astype(np.float32)
    constants = {
        "scale": np.float32(2.0),
        "zero": np.int8(0),
        "weights": np.clip(np.rint(weights / scales), -127, 127).astype(np.int8),
        "scales": scales,
        "zeros": np.zeros(32, np.int8),
    }
    nodes = [
        helper.make_node("Cast", ["frames"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["cast", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["dq"]),
        helper.make_node("DequantizeLinear", ["weights", "scales", "zeros"], ["w"], axis=1),
        helper.make_node("MatMul", ["dq", "w"], ["embeddings"]),
    ]
    inputs = [helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", 64])]
    outputs = [helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", 32])]
    initializers = [
        onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()
    ]
    model = helper.make_graph(nodes, "int8", inputs, outputs, initializers)
    onnx.save(helper.make_model(model, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    entry = _entry(path)
    engine = open_tensorrt(path, entry, options=QUICK)
    feeds = {"frames": np.random.default_rng(1).integers(0, 256, (4, 64), np.uint8)}
    expected = OrtEngine(path, entry.inputs, entry.outputs).run(feeds)["embeddings"]
    np.testing.assert_allclose(engine.run(feeds)["embeddings"], expected, rtol=1e-2, atol=1.0)


def _entry(path: Path) -> Graph:
    tensors = {
        "inputs": [{"name": "frames", "dtype": "uint8", "shape": [-1, 64]}],
        "outputs": [{"name": "embeddings", "dtype": "float32", "shape": [-1, 32]}],
    }
    variant = {"file": path.name, "sha256": sha256_of(path), "size_bytes": path.stat().st_size}
    return msgspec.convert({**tensors, "variants": {"int8": variant}}, Graph)


def test_threads_take_turns(graph: tuple[Path, Graph]) -> None:
    path, entry = graph
    engine = open_tensorrt(path, entry, options=QUICK)
    reference = OrtEngine(path, entry.inputs, entry.outputs)
    wrong: list[int] = []

    def work(seed: int) -> None:
        for step in range(50):
            feeds = _frames(1 + seed, 100 * seed + step)
            found, expected = engine.run(feeds)["embeddings"], reference.run(feeds)["embeddings"]
            if not np.allclose(found, expected, rtol=1e-4, atol=1e-2):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
