"""The rules of explicit Q/DQ, and onnxruntime's own quantiser as the reference."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from emorec_calib.errors import CalibrationError
from emorec_calib.observe import ObservingEngine
from emorec_calib.ranges import GraphRanges
from emorec_export.graphs import write_graph
from emorec_export.quantize import (
    FP8,
    SMALLEST_HALF_SCALE,
    candidates,
    count_products,
    count_quantized,
    quantize,
    quantize_weight,
    usable_scale,
)
from emorec_export.recipe import ALL_OPS, EXCLUDED, LINEAR_OPS, Recipe, exclusion
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, expected_tensors
from emorec_rt.engines.ort import OrtEngine
from random_feeds import random_feeds
from tiny_model import CONFIG, LABELS

TENSORS = expected_tensors(CONFIG.preprocessing, len(LABELS))
PLAIN = Recipe("int8", ALL_OPS, half=False)
Graphs = dict[GraphName, onnx.ModelProto]
Found = dict[GraphName, GraphRanges]


def _feeds(name: GraphName) -> dict[str, NDArray[np.generic]]:
    return random_feeds(TENSORS[name][0], 4)


@pytest.fixture(scope="module")
def ranges(graph_files: dict[GraphName, Path]) -> Found:
    found: Found = {}
    for name in GRAPH_NAMES:
        engine = ObservingEngine(graph_files[name], *TENSORS[name], "max")
        engine.run(_feeds(name))
        found[name] = engine.ranges()
    return found


@pytest.fixture(scope="module")
def quantized(exported: Graphs, ranges: Found) -> Graphs:
    return {name: quantize(exported[name], ranges[name], PLAIN) for name in GRAPH_NAMES}


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


OTHER_TOWERS = ("attnpool", "downsample", "features", "layer1", "mel.", "visual.projection", "trunk")
NOT_BY_DEFAULT = ("task_heads",)


def test_every_exclusion_meets_a_node(exported: Graphs) -> None:
    met = {exclusion(node) for model in exported.values() for node in model.graph.node}
    absent = (*OTHER_TOWERS, *NOT_BY_DEFAULT)
    of_other_models = {why for pattern, why in EXCLUDED.items() if any(part in pattern for part in absent)}
    assert met >= set(EXCLUDED.values()) - of_other_models


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
    model = quantize(exported["fusion"], ranges["fusion"], PLAIN)
    assert count_quantized(model) == len(candidates(exported["fusion"], PLAIN)) > 10
    assert count_quantized(exported["fusion"]) == 0
    assert count_products(model) == count_products(exported["fusion"]) > count_quantized(model)
    floats = [value for value in model.graph.initializer if value.data_type == TensorProto.FLOAT]
    large = [value.name for value in floats if np.prod(value.dims) > 64 and len(value.dims) > 1]
    kept = {node.input[1] for node in model.graph.node if node.op_type in ALL_OPS and exclusion(node)}
    assert set(large) <= kept | {"step_positions", "token_positions"}


def test_a_missing_range_is_named(exported: Graphs, ranges: Found) -> None:
    first = candidates(exported["fusion"], PLAIN)[0]
    (needed,) = (node.input[0] for node in exported["fusion"].graph.node if node.name == first)
    short = dict(ranges["fusion"].tensors)
    del short[needed]
    with pytest.raises(CalibrationError, match=f"nothing about {re.escape(needed)}"):
        quantize(exported["fusion"], msgspec.structs.replace(ranges["fusion"], tensors=short), PLAIN)


def test_what_is_kept_stays_as_it_was(exported: Graphs, ranges: Found) -> None:
    names = candidates(exported["fusion"], PLAIN)
    model = quantize(exported["fusion"], ranges["fusion"], PLAIN, frozenset(names[1:]))
    assert count_quantized(model) == 1
    assert sum(node.op_type == "QuantizeLinear" for node in model.graph.node) == 1


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_fp8(name: GraphName, exported: Graphs, ranges: Found) -> None:
    """One scale a tensor, E4M3 zeros for zero points; the standard's own arithmetic gives FP32's answer.

    Not onnxruntime's: its optimiser (1.32) breaks FP8 products between FP32 tensors, which no variant has.
    """
    model = quantize(exported[name], ranges[name], Recipe("fp8", LINEAR_OPS, half=False))
    onnx.checker.check_model(model, full_check=True)
    values = {value.name: value for value in model.graph.initializer}
    nodes = [node for node in model.graph.node if node.op_type in {"QuantizeLinear", "DequantizeLinear"}]
    assert nodes
    for node in nodes:
        assert values[node.input[2]].data_type == TensorProto.FLOAT8E4M3FN
        assert list(values[node.input[1]].dims) == []
    assert count_quantized(model) == len(candidates(exported[name], Recipe("fp8", LINEAR_OPS, half=False)))
    expected, actual = (
        ReferenceEvaluator(which).run(None, random_feeds(TENSORS[name][0], 1))[0]
        for which in (exported[name], model)
    )
    cosine = (expected * actual).sum() / (np.linalg.norm(expected) * np.linalg.norm(actual))
    assert 0.99 < cosine < 1.0 - 1e-7


def test_scales_for_fp16_are_fp16_numbers() -> None:
    scales = usable_scale(np.array([0.0, 1e-9, 6.2e-5, 0.1, 3.0], np.float32), half=True)
    assert (scales >= SMALLEST_HALF_SCALE).all()
    np.testing.assert_array_equal(scales, scales.astype(np.float16).astype(np.float32))
    np.testing.assert_allclose(scales[2:], [6.2e-5, 0.1, 3.0], rtol=1e-3)


def test_a_tiny_channel_is_rounded_with_the_scale_that_is_stored() -> None:
    weight = np.array([[1e-4, -1e-4], [0.5, 0.25]], np.float32)
    values, scales = quantize_weight(weight, 0, half=True)
    assert scales[0] == np.float32(SMALLEST_HALF_SCALE)
    assert values[0].tolist() == [2, -2]
    assert values[1, 0] in {126, 127}


def test_fp8_weights_as_ml_dtypes_rounds() -> None:
    weight = np.linspace(-2.0, 2.0, 64, dtype=np.float32).reshape(8, 8)
    values, scale = quantize_weight(weight, 0, FP8)
    assert scale.shape == ()
    assert float(np.abs(values.astype(np.float32)).max()) == 448.0
    np.testing.assert_allclose(values.astype(np.float32) * scale, weight, rtol=2.0**-4, atol=1e-4)


def test_as_onnxruntime_quantises(exported: Graphs, ranges: Found, tmp_path: Path) -> None:
    """The same ranges through onnxruntime's QDQ tool give the same numbers."""
    from onnxruntime.quantization import CalibrationMethod, QuantType
    from onnxruntime.quantization.calibrate import TensorData, TensorsData
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

    own = quantize(exported["vision"], ranges["vision"], Recipe("int8", LINEAR_OPS, half=False))
    touched = [
        node.name for node in own.graph.node if node.op_type == "MatMul" and node.input[1].endswith(".back")
    ]
    model = onnx.shape_inference.infer_shapes(exported["vision"])
    data = TensorsData(
        CalibrationMethod.MinMax,
        {
            name: TensorData(lowest=np.float32(found.low), highest=np.float32(found.high))
            for name, found in ranges["vision"].tensors.items()
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
