"""Joint projections taken apart: the same outputs to the last bit, as products of their own."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray

from emorec_calib.observe import ObservingEngine
from emorec_export.graphs import write_graph
from emorec_export.joint import split_joint
from emorec_export.quantize import quantised_nodes, quantize
from emorec_export.recipe import RECIPES
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, expected_tensors
from random_feeds import random_feeds
from tiny_model import CONFIG, LABELS

TENSORS = expected_tensors(CONFIG.preprocessing, len(LABELS))
Graphs = dict[GraphName, onnx.ModelProto]


@pytest.fixture(scope="module")
def quantised(exported: Graphs, tmp_path_factory: pytest.TempPathFactory) -> Graphs:
    folder, made = tmp_path_factory.mktemp("joint"), {}
    for name in GRAPH_NAMES:
        path = folder / f"{name}.onnx"
        write_graph(exported[name], path)
        engine = ObservingEngine(path, *TENSORS[name], "max")
        engine.run(random_feeds(TENSORS[name][0], 4))
        made[name] = quantize(exported[name], engine.ranges(), RECIPES["int8-fp16"])
    return made


def answer(model: onnx.ModelProto, name: GraphName) -> NDArray[np.float32]:
    """The graph's own arithmetic: optimisations may sum in another order."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    (found,) = session.run(None, random_feeds(TENSORS[name][0], 3))
    return np.asarray(found)


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_outputs_are_equal_to_the_last_bit(name: GraphName, quantised: Graphs) -> None:
    apart = split_joint(quantised[name])
    onnx.checker.check_model(apart, full_check=True)
    np.testing.assert_array_equal(answer(apart, name), answer(quantised[name], name))


@pytest.mark.parametrize("name", ["vision", "audio"])
def test_each_part_is_a_product_that_shares_the_activation(name: GraphName, quantised: Graphs) -> None:
    before, after = quantised[name], split_joint(quantised[name])
    joint = [node for node in before.graph.node if node.name.endswith("joint/MatMul")]
    assert joint
    assert len(quantised_nodes(after)) == len(quantised_nodes(before)) + 2 * len(joint)
    assert not any(node.op_type == "Split" for node in after.graph.node)
    for node in joint:
        stem = node.name.removesuffix("/MatMul")
        parts = [found for found in after.graph.node if found.name.startswith(f"{stem}.")]
        products = [found for found in parts if found.op_type == "MatMul"]
        assert [found.name for found in products] == [f"{stem}.{index}/MatMul" for index in range(3)]
        assert {found.input[0] for found in products} == {node.input[0]}, "one Q/DQ pair for all"
    assert after.ByteSize() < 1.05 * before.ByteSize(), "the whole weight is gone"


def test_what_is_not_quantised_stays(exported: Graphs) -> None:
    before = exported["vision"]
    after = split_joint(before)
    assert [node.name for node in after.graph.node] == [node.name for node in before.graph.node]
