"""One tiny model, exported once."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from emorec_export.graphs import write_graph
from emorec_rt.bundle.manifest import GraphName
from emorec_train.model.build import Models
from emorec_train.model.checkpoint import Checkpoint
from tiny_model import tiny_checkpoint, tiny_graphs, tiny_models


@pytest.fixture(scope="session")
def models() -> Models:
    return tiny_models()


@pytest.fixture(scope="session")
def exported() -> dict[GraphName, onnx.ModelProto]:
    return tiny_graphs()


@pytest.fixture(scope="session")
def graph_files(
    exported: dict[GraphName, onnx.ModelProto], tmp_path_factory: pytest.TempPathFactory
) -> dict[GraphName, Path]:
    folder = tmp_path_factory.mktemp("graphs")
    paths: dict[GraphName, Path] = {}
    for name, model in exported.items():
        paths[name] = folder / f"{name}.fp32.onnx"
        write_graph(model, paths[name])
    return paths


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return tiny_checkpoint(tmp_path_factory.mktemp("runs") / "tiny")
