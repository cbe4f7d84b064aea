"""A graph of arithmetic, small enough to check by hand."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from emorec_rt.bundle import sha256_of
from emorec_rt.bundle.manifest import Graph, TensorSpec, Variant

INPUT = TensorSpec(name="frames", dtype="uint8", shape=(-1, 3))
OUTPUT = TensorSpec(name="embeddings", dtype="float32", shape=(-1, 3))


@pytest.fixture(scope="session")
def double(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Graph]:
    """``embeddings = float(frames) * 2``, as an FP32 graph in a folder of its own."""
    frames = helper.make_tensor_value_info("frames", TensorProto.UINT8, ["batch", 3])
    embeddings = helper.make_tensor_value_info("embeddings", TensorProto.FLOAT, ["batch", 3])
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    nodes = [
        helper.make_node("Cast", ["frames"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["cast", "two"], ["embeddings"]),
    ]
    graph = helper.make_graph(nodes, "double", [frames], [embeddings], [two])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = tmp_path_factory.mktemp("bundle") / "vision.fp32.onnx"
    onnx.save(model, path)
    variant = Variant(file=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)
    return path, Graph(inputs=(INPUT,), outputs=(OUTPUT,), variants={"fp32": variant})
