"""The rules of explicit Q/DQ, and onnxruntime's own quantiser as the reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from emorec_calib.errors import CalibrationError
from emorec_calib.observe import ObservingEngine
from emorec_calib.ranges import Range
from emorec_export.graphs import write_graph
from emorec_export.quantize import count_quantized, quantize, quantize_weight
from emorec_export.recipe import EXCLUDED, exclusion
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.manifest import GRAPH_NAMES, GraphName, expected_tensors
from tiny_model import CONFIG, LABELS

TENSORS = expected_tensors(CONFIG.preprocessing, len(LABELS))
ALL_OPS = frozenset({"MatMul", "Gemm", "Conv"})
Graphs = dict[GraphName, onnx.ModelProto]
Found = dict[GraphName, dict[str, Range]]


def _feeds(name: GraphName, batch: int = 4) -> dict[str, NDArray[np.generic]]:
    rng = np.random.default_rng(1)
    feeds: dict[str, NDArray[np.generic]] = {}
    for spec in TENSORS[name][0]:
        shape = (batch, *spec.shape[1:])
        noise = rng.standard_normal(shape).astype(np.float32)
        feeds[spec.name] = np.ones_like(noise) if spec.name.endswith("mask") else noise
        if spec.dtype == "uint8":
            feeds[spec.name] = rng.integers(0, 256, shape, dtype=np.uint8)
    return feeds


@pytest.fixture(scope="module")
def ranges(graph_files: dict[GraphName, Path]) -> Found:
    found: Found = {}
    for name in GRAPH_NAMES:
        engine = ObservingEngine(graph_files[name], *TENSORS[name], "max")
        engine.run(_feeds(name))
        found[name] = engine.ranges().tensors
    return found


@pytest.fixture(scope="module")
def quantized(exported: Graphs, ranges: Found) -> Graphs:
    return {name: quantize(exported[name], ranges[name], ALL_OPS)[0] for name in GRAPH_NAMES}


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_rules(name: GraphName, quantized: Graphs) -> None:
    model = quantized[name]
    onnx.checker.check_model(model, full_check=True)
    values = {value.name: value for value in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert nodes
    for node in nodes:
        scale, zero = (numpy_helper.to_array(values[tensor]) for tensor in node.input[1:3])
        assert values[node.input[2]].data_type == TensorProto.INT8
        assert not zero.any()
        assert (scale > 0).all()
        assert scale.shape == zero.shape
        per_axis = scale.ndim == 1
        assert per_axis == (node.input[0] in values), "per-axis scales are for weights, and weights only"
        if per_axis:
            assert values[node.input[0]].data_type == TensorProto.INT8
    sources = [node.input[0] for node in nodes if node.op_type == "QuantizeLinear"]
    assert len(sources) == len(set(sources)), "one pair for a tensor, however many read it"


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_both_inputs_of_products_and_nothing_else(name: GraphName, quantized: Graphs) -> None:
    model = quantized[name]
    back = {node.output[0] for node in model.graph.node if node.op_type == "DequantizeLinear"}
    outputs = {node.output[0]: node for node in model.graph.node}
    for node in model.graph.node:
        through = [tensor in back for tensor in node.input]
        if any(through):
            assert node.op_type in ALL_OPS
            assert through[:2] == [True, True]
            assert not any(through[2:]), "the bias stays in floating point"
        if node.op_type == "QuantizeLinear" and node.input[0] in outputs:
            assert outputs[node.input[0]].op_type != "QuantizeLinear"


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_exceptions_are_kept(name: GraphName, exported: Graphs, quantized: Graphs) -> None:
    before = {node.name: list(node.input) for node in exported[name].graph.node}
    after = {node.name: list(node.input) for node in quantized[name].graph.node}
    weights = {value.name for value in exported[name].graph.initializer}
    for node in exported[name].graph.node:
        has_weight = len(node.input) > 1 and node.input[1] in weights
        kept = node.op_type not in ALL_OPS or not has_weight or exclusion(node) is not None
        assert (after[node.name] == before[node.name]) == kept, node.name


def test_every_exclusion_meets_a_node(exported: Graphs) -> None:
    met = {exclusion(node) for model in exported.values() for node in model.graph.node}
    assert met >= set(EXCLUDED.values()) - {"the same of a ResNet"}


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_close_to_fp32_and_smaller(
    name: GraphName, graph_files: dict[GraphName, Path], quantized: Graphs, tmp_path: Path
) -> None:
    path = tmp_path / "int8.onnx"
    write_graph(quantized[name], path)
    feeds = _feeds(name)
    expected = next(iter(OrtEngine(graph_files[name], *TENSORS[name]).run(feeds).values()))
    actual = next(iter(OrtEngine(path, *TENSORS[name]).run(feeds).values()))
    cosine = (expected * actual).sum() / (np.linalg.norm(expected) * np.linalg.norm(actual))
    assert cosine > 0.995
    assert not np.array_equal(expected, actual)


def test_weights_are_stored_as_int8(exported: Graphs, ranges: Found) -> None:
    model, count = quantize(exported["fusion"], ranges["fusion"], ALL_OPS)
    assert count == count_quantized(model) > 10
    assert count_quantized(exported["fusion"]) == 0
    floats = [value for value in model.graph.initializer if value.data_type == TensorProto.FLOAT]
    large = [value.name for value in floats if np.prod(value.dims) > 64 and len(value.dims) > 1]
    assert set(large) <= {"head.3.weight", "step_positions", "token_positions"}


def test_a_missing_range_is_named(exported: Graphs, ranges: Found) -> None:
    short = dict(ranges["fusion"])
    del short["head.1/Relu"], short["fusion/Concat"]  # what the logits are made from isn't quantised
    with pytest.raises(CalibrationError, match="nothing about fusion/Concat"):
        quantize(exported["fusion"], short)


def test_as_onnxruntime_quantises(exported: Graphs, ranges: Found, tmp_path: Path) -> None:
    """The same ranges through onnxruntime's QDQ tool give the same numbers."""
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    own, _ = quantize(exported["vision"], ranges["vision"])
    touched = [
        node.name for node in own.graph.node if node.op_type == "MatMul" and node.input[1].endswith(".back")
    ]
    model = onnx.shape_inference.infer_shapes(exported["vision"])
    data = TensorsData(
        CalibrationMethod.MinMax,
        {
            name: TensorData(lowest=np.float32(found.low), highest=np.float32(found.high))
            for name, found in ranges["vision"].items()
        },
    )
    options = {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        "OpTypesToExcludeOutputQuantization": ["MatMul"],
        "QDQKeepRemovableActivations": True,
    }
    tool = QDQQuantizer(
        model, True, False, QuantType.QInt8, QuantType.QInt8, data, touched, [], ["MatMul"], options
    )
    write_graph(tool.quantize_model(), tmp_path / "tool.onnx")
    write_graph(own, tmp_path / "own.onnx")
    feeds = _feeds("vision")
    expected, actual = (
        OrtEngine(tmp_path / file, *TENSORS["vision"]).run(feeds)["embeddings"]
        for file in ("tool.onnx", "own.onnx")
    )
    np.testing.assert_allclose(actual, expected, atol=0.02 * np.abs(expected).max())


@given(
    weight=arrays(np.float32, (5, 4), elements=st.floats(-100.0, 100.0, width=32)),
    axis=st.sampled_from([0, 1]),
)
def test_weight_rounding(weight: NDArray[np.float32], axis: int) -> None:
    values, scales = quantize_weight(weight, axis)
    assert values.dtype == np.int8
    assert values.min() >= -127
    assert scales.shape == (weight.shape[axis],)
    back = values * np.expand_dims(scales, 1 - axis)
    assert (np.abs(back - weight) <= np.expand_dims(scales, 1 - axis) * 0.501 + 1e-6).all()
