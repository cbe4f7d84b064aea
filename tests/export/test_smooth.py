"""SmoothQuant changes ranges, and nothing else: bit for bit."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from emorec_calib.observe import ObservingEngine
from emorec_calib.ranges import GraphRanges, Range
from emorec_export.graphs import check_graph, write_graph
from emorec_export.quantize import candidates
from emorec_export.recipe import LINEAR_OPS, Recipe
from emorec_export.smooth import OUTLIER_RATIO, smooth, smoothing_factors
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, expected_tensors
from emorec_rt.engines.ort import OrtEngine
from random_feeds import random_feeds
from tiny_model import CONFIG, LABELS

TENSORS = expected_tensors(CONFIG.preprocessing, len(LABELS))
RECIPE = Recipe("int8", LINEAR_OPS, half=False)
Graphs = dict[GraphName, onnx.ModelProto]


def _observed(path: Path, name: GraphName) -> GraphRanges:
    engine = ObservingEngine(path, *TENSORS[name], "max")
    engine.run(random_feeds(TENSORS[name][0], 3))
    return engine.ranges()


def _with_outliers(ranges: GraphRanges) -> GraphRanges:
    """As if the first channel of everything were a hundred times louder."""
    loud = {name: (100 * values[0] + 1.0, *values[1:]) for name, values in ranges.channels.items()}
    return msgspec.structs.replace(ranges, channels=loud)


@pytest.mark.parametrize("outliers", [False, True])
@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_the_function_stays_bit_for_bit(
    name: GraphName, outliers: bool, exported: Graphs, graph_files: dict[GraphName, Path], tmp_path: Path
) -> None:
    ranges = _observed(graph_files[name], name)
    ranges = _with_outliers(ranges) if outliers else ranges
    before = exported[name].SerializeToString()
    model, _ = smooth(exported[name], ranges, candidates(exported[name], RECIPE), 0.5)
    assert exported[name].SerializeToString() == before
    check_graph(model, name, *TENSORS[name])
    assert (sum(node.name.endswith("/Smooth") for node in model.graph.node) > 0) == outliers
    write_graph(model, tmp_path / "smooth.onnx")
    feeds = random_feeds(TENSORS[name][0], 3, seed=9)
    expected = OrtEngine(graph_files[name], *TENSORS[name], threads=1).run(feeds)
    actual = OrtEngine(tmp_path / "smooth.onnx", *TENSORS[name], threads=1).run(feeds)
    for output, values in expected.items():
        np.testing.assert_array_equal(actual[output], values)


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_ranges_are_those_of_the_smoothed_graph(
    name: GraphName, exported: Graphs, graph_files: dict[GraphName, Path], tmp_path: Path
) -> None:
    ranges = _observed(graph_files[name], name)
    names = candidates(exported[name], RECIPE)
    model, found = smooth(exported[name], ranges, names, 0.5)
    write_graph(model, tmp_path / "smooth.onnx")
    seen = _observed(tmp_path / "smooth.onnx", name).tensors
    read = {node.input[0] for node in model.graph.node if node.name in names}
    for tensor in read:
        assert found[tensor].magnitude == pytest.approx(seen[tensor].magnitude, rel=1e-4)


MAGNITUDES = arrays(np.float64, 6, elements=st.one_of(st.just(0.0), st.floats(1e-6, 1e6)))


@given(channels=MAGNITUDES, rows=MAGNITUDES, alpha=st.floats(0.0, 1.0))
def test_factors(channels: NDArray[np.float64], rows: NDArray[np.float64], alpha: float) -> None:
    factors = smoothing_factors(channels, rows, alpha)
    mantissas, _ = np.frexp(factors)
    assert (mantissas == 0.5).all(), "powers of two"
    assert (factors[(channels == 0) | (rows == 0)] == 1.0).all()


def test_half_the_difficulty_moves() -> None:
    channels, rows = np.array([1.0, 1.0, 64.0]), np.array([1.0, 1.0, 1.0])
    assert smoothing_factors(channels, rows, 0.5).tolist() == [1.0, 1.0, 8.0]
    assert smoothing_factors(channels, rows, 1.0).tolist() == [1.0, 1.0, 64.0]
    assert smoothing_factors(channels, np.array([1.0, 1.0, 1 / 64]), 0.5).tolist() == [1.0, 1.0, 64.0]


def _norm_model(*, read_elsewhere: bool) -> onnx.ModelProto:
    """A norm, two products of it, and their sum, with the norm itself if something else is to read it."""
    rng = np.random.default_rng(0)
    constants = {
        "gain": np.ones(4, np.float32),
        "offset": np.zeros(4, np.float32),
        "a": rng.standard_normal((4, 4)).astype(np.float32),
        "b": rng.standard_normal((4, 4)).astype(np.float32),
    }
    nodes = [
        helper.make_node("LayerNormalization", ["x", "gain", "offset"], ["normed"], name="norm", axis=-1),
        helper.make_node("MatMul", ["normed", "a"], ["left"], name="a/MatMul"),
        helper.make_node("Gemm", ["normed", "b"], ["right"], name="b/Gemm", transB=1),
        helper.make_node(
            "Sum", ["left", "right", *(["normed"] if read_elsewhere else [])], ["y"], name="sum"
        ),
    ]
    value = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in ("x", "y")]
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "g", [value[0]], [value[1]], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def _ranges(loud: float) -> GraphRanges:
    tensors = {"normed": Range(low=-loud, high=loud)}
    return GraphRanges(
        graph_sha256="0" * 64, samples=1, tensors=tensors, channels={"normed": (loud, 1.0, 1.0, 1.0)}
    )


def test_folds_where_products_alone_read_the_norm() -> None:
    model, found = smooth(_norm_model(read_elsewhere=False), _ranges(64.0), ["a/MatMul", "b/Gemm"], 0.5)
    gain = next(value for value in model.graph.initializer if value.name == "gain")
    assert numpy_helper.to_array(gain)[0] < numpy_helper.to_array(gain)[1]
    assert not any(node.op_type == "Mul" for node in model.graph.node)
    assert found["normed"].magnitude < 64.0 / 4


def test_multiplies_where_something_else_reads_it_too() -> None:
    model, found = smooth(_norm_model(read_elsewhere=True), _ranges(64.0), ["a/MatMul", "b/Gemm"], 0.5)
    gain = next(value for value in model.graph.initializer if value.name == "gain")
    assert numpy_helper.to_array(gain).tolist() == [1.0] * 4
    readers = {node.name: list(node.input) for node in model.graph.node}
    assert readers["a/MatMul"][0] == readers["b/Gemm"][0] == "normed.smooth"
    assert readers["sum"][2] == "normed"
    assert found["normed.smooth"].magnitude < 64.0 / 4


def test_leaves_a_calm_tensor_that_something_else_reads() -> None:
    calm = OUTLIER_RATIO / 2
    model, found = smooth(_norm_model(read_elsewhere=True), _ranges(calm), ["a/MatMul", "b/Gemm"], 0.5)
    assert model == _norm_model(read_elsewhere=True)
    assert found["normed"].magnitude == calm
