"""FP16-typed graphs: where FP32 stays, what overflows, and the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from emorec_calib.observe import ObservingEngine
from emorec_export.graphs import check_graph, write_graph
from emorec_export.half import LARGEST, to_half, wide_nodes
from emorec_export.probe import magnitudes
from emorec_export.recipe import HIGH_PRECISION_OPS
from emorec_export.variants import make_variant, wanted
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision, expected_tensors
from emorec_rt.engines.ort import OrtEngine
from random_feeds import random_feeds
from tiny_model import CONFIG, LABELS

TENSORS = expected_tensors(CONFIG.preprocessing, len(LABELS))
Graphs = dict[GraphName, onnx.ModelProto]


def _types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    values = (*inferred.graph.input, *inferred.graph.output, *inferred.graph.value_info)
    types = {value.name: value.type.tensor_type.elem_type for value in values}
    return types | {value.name: value.data_type for value in inferred.graph.initializer}


@pytest.fixture(scope="module")
def halved(exported: Graphs) -> Graphs:
    return {name: to_half(model, {}) for name, model in exported.items()}


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_norms_and_softmax_in_fp32_products_in_fp16(name: GraphName, halved: Graphs) -> None:
    model, types = halved[name], _types(halved[name])
    check_graph(model, name, *TENSORS[name])
    floats = {TensorProto.FLOAT, TensorProto.FLOAT16}
    products = 0
    for node in model.graph.node:
        kinds = {types[tensor] for tensor in (*node.input, *node.output) if types.get(tensor) in floats}
        if node.op_type in HIGH_PRECISION_OPS:
            assert kinds == {TensorProto.FLOAT}, node.name
        if node.op_type in {"MatMul", "Gemm", "Conv", "Gelu"}:
            assert kinds == {TensorProto.FLOAT16}, node.name
            products += 1
    assert products > 3
    casts = [node for node in model.graph.node if node.op_type == "Cast"]
    sources = [(node.input[0], node.attribute[0].i) for node in casts]
    assert len(sources) == len(set(sources)), "no tensor is cast twice to the same type"


@pytest.mark.parametrize("precision", ["fp16", "int8-fp16", "fp8"])
@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_close_to_fp32_and_smaller(
    name: GraphName,
    precision: Precision,
    exported: Graphs,
    graph_files: dict[GraphName, Path],
    tmp_path: Path,
) -> None:
    feeds = random_feeds(TENSORS[name][0], 4)
    observed = ObservingEngine(graph_files[name], *TENSORS[name], "max")
    observed.run(feeds)
    loud = magnitudes(graph_files[name], [feeds])
    model = make_variant(exported[name], precision, observed.ranges(), loud)
    check_graph(model, name, *TENSORS[name])
    path = tmp_path / "variant.onnx"
    write_graph(model, path)
    expected = next(iter(OrtEngine(graph_files[name], *TENSORS[name]).run(feeds).values()))
    actual = next(iter(OrtEngine(path, *TENSORS[name]).run(feeds).values()))
    assert actual.dtype == np.float32
    assert np.isfinite(actual).all()
    cosine = (expected * actual).sum() / (np.linalg.norm(expected) * np.linalg.norm(actual))
    assert cosine > (0.99999 if precision == "fp16" else 0.99)
    if precision == "fp16":
        assert path.stat().st_size < 0.75 * graph_files[name].stat().st_size


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_scales_of_int8_are_fp16_and_usable(
    name: GraphName, exported: Graphs, graph_files: dict[GraphName, Path]
) -> None:
    observed = ObservingEngine(graph_files[name], *TENSORS[name], "max")
    observed.run(random_feeds(TENSORS[name][0], 2))
    model = make_variant(exported[name], "int8-fp16", observed.ranges())
    stored = {value.name: value for value in model.graph.initializer}
    scales = [
        numpy_helper.to_array(stored[node.input[1]])
        for node in model.graph.node
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}
    ]
    assert scales
    assert all(scale.dtype == np.float16 for scale in scales)
    assert min(float(scale.min()) for scale in scales) >= 6.1e-5


def test_a_missing_stream_keeps_its_answer(halved: Graphs, exported: Graphs, tmp_path: Path) -> None:
    """The bias of masked keys is far larger than the scores; FP16 would round the scores away."""
    feeds = random_feeds(TENSORS["fusion"][0], 3)
    for name in ("audio_tokens", "audio_mask"):
        feeds[name] = np.zeros_like(feeds[name])
    answers = []
    for kind, model in (("half", halved["fusion"]), ("float", exported["fusion"])):
        write_graph(model, tmp_path / kind)
        answers.append(OrtEngine(tmp_path / kind, *TENSORS["fusion"]).run(feeds)["logits"])
    np.testing.assert_allclose(answers[0], answers[1], atol=5e-3)


def _loud_model() -> onnx.ModelProto:
    """Two products; what is between them reaches 10^5."""
    weights = {"first": np.full((4, 4), 5e4, np.float32), "second": np.full((4, 4), 1e-5, np.float32)}
    nodes = [
        helper.make_node("MatMul", ["x", "first"], ["between"], name="loud/MatMul"),
        helper.make_node("MatMul", ["between", "second"], ["y"], name="quiet/MatMul"),
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y")]
    graph = helper.make_graph(
        nodes,
        "loud",
        [value[0]],
        [value[1]],
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def test_what_would_overflow_stays_fp32(tmp_path: Path) -> None:
    from onnx.reference import ReferenceEvaluator

    model = _loud_model()
    write_graph(model, tmp_path / "loud.onnx")
    feeds = {"x": np.ones((2, 4), np.float32)}
    found = magnitudes(tmp_path / "loud.onnx", [feeds])
    assert found["between"] == 2e5 > LARGEST
    assert wide_nodes(model, found) == {"loud/MatMul", "quiet/MatMul"}
    expected = ReferenceEvaluator(model).run(None, feeds)[0]
    with np.errstate(over="ignore"):
        careless = ReferenceEvaluator(to_half(model, {})).run(None, feeds)[0]
    assert not np.isfinite(careless).all()
    np.testing.assert_allclose(ReferenceEvaluator(to_half(model, found)).run(None, feeds)[0], expected)


def test_combinations() -> None:
    assert wanted() == ("fp32",)
    assert wanted(int8=True) == ("fp32", "int8")
    assert wanted(fp16=True, int8=True) == ("fp32", "fp16", "int8", "int8-fp16")
    assert wanted(fp8=True) == ("fp32", "fp8")
