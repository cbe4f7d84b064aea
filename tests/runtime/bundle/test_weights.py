"""Weights beside an ONNX file have no hash, so it is refused; so are outputs that aren't as declared."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emorec_rt.bundle import DEFAULT_FOLDER, open_bundle, sha256_of
from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.bundle.weights import has_external_weights
from emorec_rt.engines import describe
from emorec_rt.errors import BundleError, EngineError


def model(*, external: bool, inside: str = "graph") -> onnx.ModelProto:
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    if external:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", "../../etc/passwd"
    nodes = [helper.make_node("MatMul", ["x", "w"], ["y"])]
    initializers = [weight]
    if inside == "node":
        nodes.insert(0, helper.make_node("Constant", [], ["w"], value=weight))
        initializers = []
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", tensors[:1], tensors[1:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


@pytest.mark.parametrize("inside", ["graph", "node"])
@pytest.mark.parametrize("external", [True, False])
def test_weights_elsewhere_are_seen(external: bool, inside: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(model(external=external, inside=inside).SerializeToString())
    assert has_external_weights(path) == external


@pytest.mark.parametrize("path", sorted(DEFAULT_FOLDER.glob("*.onnx")), ids=lambda path: path.name)
def test_the_demo_has_none_and_looking_is_quick(path: Path) -> None:
    begun = time.perf_counter()
    assert not has_external_weights(path)
    assert time.perf_counter() - begun < 1.0


@pytest.mark.parametrize("data", [b"no protobuf at all", b"\xff" * 40, b"\x3a\xff\xff\xff\x7f", b"\x0b"])
def test_what_is_no_protobuf_is_left_to_the_library(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(data)
    assert not has_external_weights(tmp_path / "m.onnx")


def test_a_bundle_with_weights_elsewhere_is_refused(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(DEFAULT_FOLDER, tmp_path / "bundle"))
    path = folder / "fusion.fp32.onnx"
    path.write_bytes(model(external=True).SerializeToString())
    manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    variant = manifest["graphs"]["fusion"]["variants"]["fp32"]
    variant.update(sha256=sha256_of(path), size_bytes=path.stat().st_size)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="takes weights from other files, which have no hash"):
        open_bundle(folder).graph_file("fusion", "fp32")


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_an_output_that_is_not_as_declared_is_one_line(backend: str, tmp_path: Path) -> None:
    """The graph declares ``[B, 4]`` and gives ``[1, 300]``, which only shows when it runs."""
    pytest.importorskip(backend)
    nodes = [
        helper.make_node("Cast", ["x"], ["i"], to=TensorProto.INT64),
        helper.make_node("ReduceMax", ["i"], ["n"], keepdims=0),
        helper.make_node("Reshape", ["n", "one"], ["m"]),
        helper.make_node("Concat", ["batch", "m"], ["shape"], axis=0),
        helper.make_node("Expand", ["c", "shape"], ["y"]),
    ]
    constants = [
        numpy_helper.from_array(np.array([1], np.int64), "one"),
        numpy_helper.from_array(np.array([1], np.int64), "batch"),
        numpy_helper.from_array(np.array([[0.5]], np.float32), "c"),
    ]
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["B", 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", tensors[:1], tensors[1:], constants)
    whole = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    path = tmp_path / "vision.fp32.onnx"
    path.write_bytes(whole.SerializeToString())
    specs = tuple(TensorSpec(name=name, dtype="float32", shape=(-1, 4)) for name in "xy")
    entry: Any = SimpleNamespace(inputs=specs[:1], outputs=specs[1:], variants={})

    def run() -> None:
        describe(backend).open(path, entry, threads=1).run({"x": np.full((1, 4), 300.0, np.float32)})

    with pytest.raises((EngineError, BundleError)) as caught:
        run()
    assert "\n" not in str(caught.value)
    assert "y" in str(caught.value)
