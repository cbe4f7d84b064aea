"""The ONNX Runtime backend: right answers, one-line errors, a quiet stderr."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.ort import OrtEngine, session_options
from emorec_rt.errors import BackendUnavailableError, BundleError, EngineError

INPUT = TensorSpec(name="frames", dtype="uint8", shape=(-1, 3))
OUTPUT = TensorSpec(name="embeddings", dtype="float32", shape=(-1, 3))


@pytest.fixture(scope="module")
def graph_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``embeddings = float(frames) * 2``."""
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", 3])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", 3])
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    nodes = [
        helper.make_node("Cast", ["frames"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cast", "two"], ["embeddings"]),
    ]
    graph = helper.make_graph(nodes, "double", [frames], [embeddings], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = tmp_path_factory.mktemp("ort") / "double.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batch", [0, 1, 3, 7])
def test_runs_any_batch(graph_file: Path, batch: int) -> None:
    engine = OrtEngine(graph_file, (INPUT,), (OUTPUT,), threads=1)
    frames = np.arange(batch * 3, dtype=np.uint8).reshape(batch, 3)
    (name, result), *rest = engine.run({"frames": frames}).items()
    assert (name, rest) == ("embeddings", [])
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, frames * 2.0)


def test_fp8_that_an_optimisation_spoils_is_loaded_without_it(
    graph_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime 1.23 moves quantisation to where it has no FP8 kernel, and then refuses its own graph."""
    opened, tried = ort.InferenceSession, []

    def old(path: str, *arguments: Any, disabled_optimizers: list[str], **options: Any) -> Any:
        tried.append(disabled_optimizers)
        if not disabled_optimizers:
            raise InvalidGraph("Type 'tensor(float8e4m3fn)' of input parameter is invalid.")
        return opened(path, *arguments, disabled_optimizers=disabled_optimizers, **options)

    monkeypatch.setattr(ort, "InferenceSession", old)
    engine = OrtEngine(graph_file, (INPUT,), (OUTPUT,), threads=1)
    assert tried == [[], ["QDQPropagationTransformer"]]
    assert engine.run({"frames": np.ones((1, 3), np.uint8)})["embeddings"].tolist() == [[2.0] * 3]


def test_products_of_8_bits_do_not_overflow(tmp_path: Path) -> None:
    """Without 8-bit dot products they are added in 16 bits, unless the session asks for all of them."""
    inner = 64
    weights = np.where(np.arange(inner * 3).reshape(inner, 3) % 3, 127, -127).astype(np.int8)
    tensors = [
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("zero", TensorProto.UINT8, [], [0]),
        helper.make_tensor("weight zero", TensorProto.INT8, [], [0]),
        helper.make_tensor("weights", TensorProto.INT8, weights.shape, weights.tobytes(), raw=True),
    ]
    nodes = [
        helper.make_node("Cast", ["frames"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("QuantizeLinear", ["floats", "one", "zero"], ["bytes"]),
        helper.make_node("DequantizeLinear", ["bytes", "one", "zero"], ["x"]),
        helper.make_node("DequantizeLinear", ["weights", "one", "weight zero"], ["w"]),
        helper.make_node("MatMul", ["x", "w"], ["embeddings"]),
    ]
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", inner])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", 3])
    graph = helper.make_graph(nodes, "product", [frames], [embeddings], tensors)
    path = tmp_path / "product.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    engine = OrtEngine(path, (TensorSpec(name="frames", dtype="uint8", shape=(-1, inner)),), (OUTPUT,))
    result = engine.run({"frames": np.full((4, inner), 255, np.uint8)})["embeddings"]
    np.testing.assert_allclose(result, np.full((4, inner), 255.0) @ weights, rtol=1e-6)


def test_results_belong_to_the_caller(graph_file: Path) -> None:
    engine = OrtEngine(graph_file, (INPUT,), (OUTPUT,), threads=1)
    first = engine.run({"frames": np.ones((2, 3), np.uint8)})["embeddings"]
    engine.run({"frames": np.full((2, 3), 9, np.uint8)})
    first += 1.0
    np.testing.assert_array_equal(first, np.full((2, 3), 3.0))


@pytest.mark.parametrize(
    "frames", [np.zeros((2, 4), np.uint8), np.zeros((2, 3), np.float32), np.zeros(3, np.uint8)]
)
def test_wrong_tensors_are_refused(graph_file: Path, frames: np.ndarray) -> None:
    engine = OrtEngine(graph_file, (INPUT,), (OUTPUT,), threads=1)
    with pytest.raises(EngineError, match=r"input frames: expected uint8\[-1, 3\], got"):
        engine.run({"frames": frames})


@pytest.mark.parametrize(
    "wrong",
    [
        TensorSpec(name="frames", dtype="uint8", shape=(-1, 4)),
        TensorSpec(name="frames", dtype="float32", shape=(-1, 3)),
        TensorSpec(name="pixels", dtype="uint8", shape=(-1, 3)),
    ],
)
def test_a_graph_that_is_not_the_manifests_is_refused(graph_file: Path, wrong: TensorSpec) -> None:
    with pytest.raises(BundleError, match="the graph has frames uint8"):
        OrtEngine(graph_file, (wrong,), (OUTPUT,))
    with pytest.raises(BundleError, match="the graph has embeddings float32"):
        OrtEngine(graph_file, (INPUT,), (wrong,))


@pytest.mark.parametrize("content", [b"", b"no model at all", b"\x08\x0a" * 40])
def test_a_damaged_file_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(EngineError, match="onnxruntime can't load it") as caught:
        OrtEngine(path, (INPUT,), (OUTPUT,))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_file_is_refused(graph_file: Path, tmp_path: Path) -> None:
    path = tmp_path / "half.onnx"
    whole = graph_file.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises((EngineError, BundleError)):
        OrtEngine(path, (INPUT,), (OUTPUT,))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"absent\.onnx"):
        OrtEngine(tmp_path / "absent.onnx", (INPUT,), (OUTPUT,))


def test_a_missing_library_names_the_extra(graph_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(BackendUnavailableError, match=r"pip install 'emorec\[cpu\]'"):
        OrtEngine(graph_file, (INPUT,), (OUTPUT,))


def test_threads_are_explicit() -> None:
    assert session_options(3).intra_op_num_threads == 3
    assert session_options(None).intra_op_num_threads >= 1


def test_stderr_stays_quiet(graph_file: Path) -> None:
    program = (
        "import sys; from emorec_rt.engines.ort import OrtEngine\n"
        "from emorec_rt.bundle.manifest import TensorSpec\n"
        "from emorec_rt.errors import BundleError\n"
        "spec = TensorSpec(name='frames', dtype='uint8', shape=(-1, 3))\n"
        "try: OrtEngine(sys.argv[1], (spec,), (spec,))\n"
        "except BundleError: pass\n"
        "else: raise SystemExit('accepted')\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", program, str(graph_file)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
