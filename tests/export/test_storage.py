"""Weights that stay in floating point take less room, and compute the same."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

from emorec_export.quantize import count_products
from emorec_export.storage import store_small

SIDE = 8


def model(conv_name: str) -> ModelProto:
    """A convolution with 64 channels and a product behind it, whose weights are worth it."""
    rng = np.random.default_rng(0)
    weights = {
        "conv.weight": rng.standard_normal((64, 64, 4, 4)) / 32,
        "linear.weight": rng.standard_normal((64, 1024)) / 8,
        "small.weight": rng.standard_normal((1024, 8)) / 32,
    }
    nodes = [
        helper.make_node("Conv", ["x", "conv.weight"], ["a"], name=f"{conv_name}/Conv"),
        helper.make_node("ReduceMean", ["a", "axes"], ["b"], keepdims=0),
        helper.make_node("MatMul", ["b", "linear.weight"], ["c"], name="linear/MatMul"),
        helper.make_node("MatMul", ["c", "small.weight"], ["y"], name="small/MatMul"),
    ]
    initializers = [numpy_helper.from_array(own.astype(np.float32), name) for name, own in weights.items()]
    initializers.append(numpy_helper.from_array(np.array([2, 3], np.int64), "axes"))
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["B", 64, SIDE, SIDE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["B", 8])],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def answer(graph: ModelProto) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(1).standard_normal((3, 64, SIDE, SIDE)).astype(np.float32)
    (found,) = session.run(None, {"x": pixels})
    return np.asarray(found)


@pytest.mark.parametrize(
    ("name", "error", "share"),
    [("layer", 1e-3, 0.56), ("wav2vec2.encoder.pos_conv_embed.conv", 2e-2, 0.42)],
)
def test_half_the_room_and_the_same_answers(name: str, error: float, share: float) -> None:
    before, after = model(name), model(name)
    store_small(after)
    onnx.checker.check_model(after, full_check=True)
    assert after.ByteSize() < share * before.ByteSize()
    assert count_products(after) == count_products(before) == 3
    wanted = answer(before)
    assert np.abs(answer(after) - wanted).max() < error * np.abs(wanted).max()
    kinds = {value.name: value.data_type for value in after.graph.initializer}
    assert kinds["linear.weight.half"] == TensorProto.FLOAT16
    assert kinds["small.weight"] == TensorProto.FLOAT  # not worth it
    assert ("conv.weight.numbers" in kinds) == (name != "layer")


def test_what_half_cannot_hold_and_what_others_read_stays() -> None:
    graph = model("layer")
    loud = numpy_helper.to_array(graph.graph.initializer[0]).copy()
    loud.flat[0] = 1e6
    graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(loud, "conv.weight"))
    graph.graph.node.append(helper.make_node("Identity", ["linear.weight"], ["again"]))
    store_small(graph)
    assert {value.name for value in graph.graph.initializer} == {
        "conv.weight",
        "linear.weight",
        "small.weight",
        "axes",
    }
