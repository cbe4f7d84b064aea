"""Outliers are injected without changing the function, plain INT8 suffers, and the recipe doesn't."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import outliers
import pytest
from full_size import QUICK
from injection import LOUDER, inject

from emorec_export.graphs import check_graph, write_graph
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, expected_tensors
from emorec_rt.engines.ort import OrtEngine
from random_feeds import random_feeds
from tiny_model import CONFIG, LABELS, tiny_graphs

TENSORS = expected_tensors(CONFIG.preprocessing, len(LABELS))


def copied(name: GraphName) -> onnx.ModelProto:
    model = onnx.ModelProto()
    model.CopyFrom(tiny_graphs()[name])
    return model


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_the_function_stays(name: GraphName, tmp_path: Path) -> None:
    write_graph(tiny_graphs()[name], tmp_path / "before.onnx")
    model = copied(name)
    assert inject(model) > 0
    check_graph(model, name, *TENSORS[name])
    write_graph(model, tmp_path / "after.onnx")
    feeds = random_feeds(TENSORS[name][0], 3)
    before, after = (
        OrtEngine(tmp_path / f"{when}.onnx", *TENSORS[name], threads=1).run(feeds)
        for when in ("before", "after")
    )
    for output, values in before.items():
        np.testing.assert_allclose(after[output], values, atol=2e-4)


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_channels_behind_norms_are_louder(name: GraphName) -> None:
    model = copied(name)
    inject(model)
    before = {
        value.name: onnx.numpy_helper.to_array(value) for value in tiny_graphs()[name].graph.initializer
    }
    after = {value.name: onnx.numpy_helper.to_array(value) for value in model.graph.initializer}
    norms = {
        node.name: node for node in tiny_graphs()[name].graph.node if node.op_type == "LayerNormalization"
    }
    changed = [node for node in model.graph.node if node.name in norms and node.input[1].endswith(".gain")]
    assert changed
    for node in changed:
        ratio = after[node.input[1]] / before[norms[node.name].input[1]]
        assert LOUDER[0] <= ratio.max() <= LOUDER[1] + 1e-3
        assert np.median(ratio) == 1.0


def test_plain_int8_suffers_and_the_default_does_not(tmp_path: Path) -> None:
    subject = outliers.Subject("tiny", CONFIG, QUICK.observed, QUICK.batches)
    figure = outliers.measure(subject, "audio", copied("audio"), tmp_path)
    assert figure.injected == pytest.approx(1.0, abs=1e-5)
    assert figure.plain < figure.calm
    assert figure.default > figure.plain
    assert figure.default > 0.99
    assert figure.holds
