"""Graphs on a server that speaks Triton's protocol, from a repository as the export writes it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from commands import program
from emorec_export.triton import Serving, write_repository
from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName
from emorec_rt.cli import cli
from emorec_rt.engines import describe, open_engine, open_engines
from emorec_rt.errors import BundleError, EngineError, UsageError
from folder_clips import write_clip
from pages import ROOT
from random_feeds import random_feeds
from triton_server import Model, serving

pytest.importorskip("tritonclient", reason="needs the extra triton")

MAX_BATCH = 8
Served = tuple[str, dict[str, Model]]


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return open_bundle()


@pytest.fixture(scope="module")
def served(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The default bundle's FP32 graphs."""
    folder = tmp_path_factory.mktemp("models")
    write_repository(bundle, "fp32", folder, Serving(max_batch=MAX_BATCH, kind="cpu"))
    with serving(folder) as found:
        yield found


@pytest.mark.parametrize("graph", GRAPH_NAMES)
def test_the_server_computes_what_this_machine_does(bundle: Bundle, served: Served, graph: GraphName) -> None:
    engine = open_engine(bundle, graph, backend=f"triton://{served[0]}", precision="fp32")
    here = open_engine(bundle, graph, backend="onnxruntime", precision="fp32")
    feeds = random_feeds(here.inputs, 2)
    there = engine.run(feeds)
    for name, array in here.run(feeds).items():
        np.testing.assert_allclose(there[name], array, rtol=1e-5, atol=1e-5)
        assert there[name].flags.writeable


def test_the_command_writes_the_same_labels(served: Served, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "talk.mp4")
    for name in ("onnxruntime", f"triton://{served[0]}"):
        out = tmp_path / f"{name[:6]}.txt"
        words = [str(clip), "--out", str(out), "--backend", name, "--precision", "fp32", "--face", "off"]
        done = CliRunner().invoke(cli, ["run", *words, "--batch-size", "4"])
        assert done.exit_code == 0, done.output
    assert (tmp_path / "onnxru.txt").read_bytes() == (tmp_path / "triton.txt").read_bytes()


def test_a_server_that_is_away_is_one_line(bundle: Bundle) -> None:
    with pytest.raises(EngineError, match=r"triton://127\.0\.0\.1:1, model .* can't be reached"):
        open_engines(bundle, backend="triton://127.0.0.1:1")


def test_a_model_that_is_not_there_is_one_line(bundle: Bundle, served: Served) -> None:
    with pytest.raises(EngineError, match=r"no such model ready; write it with export/triton_repository"):
        open_engine(bundle, "vision", backend=f"triton://{served[0]}", precision="int8")


def test_wrong_shapes_are_refused(bundle: Bundle, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    address, models = served
    model = next(model for name, model in models.items() if "vision" in name)
    monkeypatch.setattr(model, "inputs", [{**model.inputs[0], "shape": [-1, 8, 8, 3]}])
    with pytest.raises(BundleError, match=r"\[-1, 48, 48, 3\].* has frames UINT8\[-1, 8, 8, 3\]"):
        open_engine(bundle, "vision", backend=f"triton://{address}", precision="fp32")


def test_what_the_server_complains_of_is_told(bundle: Bundle, served: Served) -> None:
    engine = open_engine(bundle, "vision", backend=f"triton://{served[0]}", precision="fp32")
    with pytest.raises(EngineError, match="batch-size must be <= 8"):
        engine.run(random_feeds(engine.inputs, MAX_BATCH + 1))


@pytest.mark.parametrize("name", ["triton", "triton://", "triton://host", "triton://http://host:8000"])
def test_an_address_is_asked_for(bundle: Bundle, name: str) -> None:
    with pytest.raises(UsageError, match="triton://HOST:PORT"):
        open_engines(bundle, backend=name)


def test_auto_never_takes_it() -> None:
    assert not describe("triton").automatic
    assert not describe("triton://host:8000").automatic


def test_the_program_writes_a_repository_beside_other_models(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    words = ["--out", str(tmp_path), "--precision", "int8", "--max-batch", "16", "--instances", "2"]
    done = CliRunner().invoke(program(ROOT / "export" / "triton_repository.py"), words)
    assert done.exit_code == 0, done.output
    names = {path.name.rpartition("_")[0] or path.name for path in tmp_path.iterdir()}
    assert names == {"emorec_audio_int8", "emorec_fusion_int8", "emorec_vision_int8", "other"}


def test_the_configuration_is_triton_s(bundle: Bundle, tmp_path: Path) -> None:
    """Read by the description that Triton itself has of its configuration."""
    pytest.importorskip("google.protobuf")
    try:
        from tritonclient.grpc import model_config_pb2
    except (ImportError, RuntimeError) as error:
        pytest.skip(str(error))
    from google.protobuf import text_format

    for name in write_repository(bundle, "fp32", tmp_path, Serving(max_batch=16, instances=2)):
        text = (tmp_path / name / "config.pbtxt").read_text()
        found = text_format.Parse(text, model_config_pb2.ModelConfig())
        assert found.name == name
        assert found.max_batch_size == (16 if "vision" in name else 4)
        assert found.dynamic_batching.max_queue_delay_microseconds == 1000
        assert (found.instance_group[0].count, found.instance_group[0].kind) == (2, 1)
    assert [tensor.name for tensor in found.input] == [
        *("frame_embeddings", "frame_mask", "audio_tokens", "audio_mask")
    ]
