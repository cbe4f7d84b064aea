"""Programs of torch-tensorrt: real torch programs, compiled by a double, run by the runtime's engine."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from emorec_export.bundle import write_manifest
from emorec_export.report import Reference, Report
from emorec_export.torch_programs import accepted, compile_program
from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName
from emorec_rt.engines.compare import compare
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.engines.tensorrt.options import BatchRange, BuildOptions
from emorec_rt.errors import BundleError, EngineError, MismatchError, NoGpuError, OutOfMemoryError
from emorec_torch import tensorrt as backend
from emorec_torch.tensorrt import (
    Libraries,
    TorchTensorRTEngine,
    check_program,
    open_torch_tensorrt,
)
from emorec_train.model.build import Models
from gpu import need
from tiny_model import CONFIG, LABELS
from torch_tensorrt_double import libraries

OPTIONS = BuildOptions(
    batch=BatchRange(1, 2, 4), windows=BatchRange(1, 2, 4), workspace_bytes=1 << 20, optimization_level=2
)


@dataclass(frozen=True)
class Compiled:
    """A bundle with one program of each graph.

    Attributes:
        bundle: The bundle.
        paths: The programs.
        libraries: What compiled each.
    """

    bundle: Bundle
    paths: dict[GraphName, Path]
    libraries: dict[GraphName, Libraries]


@pytest.fixture(scope="module")
def compiled(
    models: Models, graph_files: dict[GraphName, Path], tmp_path_factory: pytest.TempPathFactory
) -> Compiled:
    """Compiled once, fusion by an old release, the others by a recent one; not to be changed."""
    bundle = _bundle(graph_files, tmp_path_factory.mktemp("programs") / "bundle")
    versions: dict[GraphName, str] = {"vision": "2.14.0", "audio": "2.14.0", "fusion": "2.8.0"}
    found = {name: libraries(version) for name, version in versions.items()}
    paths = {name: _compile(name, models, bundle, found[name]) for name in versions}
    return Compiled(bundle, paths, found)


@pytest.fixture
def bundle(graph_files: dict[GraphName, Path], tmp_path: Path) -> Bundle:
    return _bundle(graph_files, tmp_path / "bundle")


def _bundle(graph_files: dict[GraphName, Path], folder: Path) -> Bundle:
    folder.mkdir()
    files = {name: folder / path.name for name, path in graph_files.items()}
    for name, path in graph_files.items():
        files[name].write_bytes(path.read_bytes())
    report = Report(reference=Reference(clips=0, rows=0, accuracy=0.0, macro_f1=0.0), variants={})
    write_manifest(
        folder,
        {"fp32": files},
        name="tiny",
        labels=LABELS,
        preprocessing=CONFIG.preprocessing,
        notice="",
        provenance={},
        report=report,
    )
    return open_bundle(folder)


def _compile(name: GraphName, models: Models, bundle: Bundle, found: Libraries) -> Path:
    module = getattr(models, name)
    return compile_program(name, module, bundle, options=OPTIONS, libraries=found, device="cpu")[0]


@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_a_program_takes_any_batch_and_gives_what_the_graph_gives(
    name: GraphName, compiled: Compiled
) -> None:
    path, found, bundle = compiled.paths[name], compiled.libraries[name], compiled.bundle
    version = found.torch_tensorrt.__version__
    assert path.parent == bundle.folder / "plans" / f"nvidia-test-sm90-torch_tensorrt{version}"
    graph = bundle.manifest.graphs[name]
    record = check_program(path, bundle.graph_file(name, "fp32"), graph, found.machine())
    engine = TorchTensorRTEngine(
        path, graph.inputs, graph.outputs, record.batch, libraries=found, device="cpu"
    )
    reference = OrtEngine(bundle.graph_file(name, "fp32"), graph.inputs, graph.outputs, threads=1)
    generator = np.random.default_rng(0)
    for batch in (1, 2, 3, 4, 9):  # the last in pieces
        feeds = {
            spec.name: (generator.random((batch, *spec.shape[1:])) * 200).astype(spec.dtype)
            for spec in graph.inputs
        }
        for output, expected in reference.run(feeds).items():
            np.testing.assert_allclose(engine.run(feeds)[output], expected, rtol=1e-3, atol=1e-3)


def test_one_at_a_time(models: Models, bundle: Bundle) -> None:
    """What ``--max-batch`` of less than 8 leaves for windows."""
    found, options = libraries("2.14.0"), BuildOptions(windows=BatchRange(1, 1, 1))
    path, _ = compile_program("fusion", models.fusion, bundle, options=options, libraries=found, device="cpu")
    graph = bundle.manifest.graphs["fusion"]
    engine = TorchTensorRTEngine(
        path, graph.inputs, graph.outputs, BatchRange(1, 1, 1), libraries=found, device="cpu"
    )
    feeds = {spec.name: np.ones((3, *spec.shape[1:]), spec.dtype) for spec in graph.inputs}
    assert engine.run(feeds)["logits"].shape[0] == 3


def test_only_options_that_a_release_knows_are_given(compiled: Compiled) -> None:
    expected = {"batch": (1, 2, 4), "workspace_size": 1 << 20, "optimization_level": 2}
    old, new = compiled.libraries["fusion"], compiled.libraries["vision"]
    assert old.torch_tensorrt.compiled == [{**expected, "use_explicit_typing": True}]
    assert new.torch_tensorrt.compiled == [expected]
    assert accepted(lambda a, **b: None, {"a": 1, "c": 2}) == {"a": 1}  # noqa: ARG005


def test_the_record_says_what_it_is(compiled: Compiled) -> None:
    path = compiled.paths["fusion"]
    record = json.loads(path.with_suffix(".json").read_bytes())
    assert record["model_sha256"] == compiled.bundle.manifest.graphs["fusion"].variants["fp32"].sha256
    assert record["machine"]["gpu"] == "NVIDIA Test"
    assert record["verification"]["cosine"] > 0.999
    assert sorted(file.name for file in path.parent.iterdir()) == ["fusion.fp32.json", "fusion.fp32.pt2"]


def test_a_program_that_computes_something_else_is_not_kept(models: Models, bundle: Bundle) -> None:
    found = libraries()
    found.torch_tensorrt.bend = 0.5
    with pytest.raises(MismatchError, match="differ from its graph"):
        compile_program("fusion", models.fusion, bundle, options=OPTIONS, libraries=found, device="cpu")
    assert not [path for path in bundle.folder.rglob("*") if "fusion" in path.name and "plans" in str(path)]


def test_what_the_compiler_refuses_is_one_line(models: Models, bundle: Bundle) -> None:
    found = libraries()

    def compile(program: Any, arg_inputs: Any) -> None:  # noqa: A001 - the real name
        raise RuntimeError("unsupported\noperator")

    found.torch_tensorrt.dynamo.compile = compile
    with pytest.raises(EngineError, match=r"torch-tensorrt 2\.14\.0: unsupported operator; take"):
        compile_program("fusion", models.fusion, bundle, options=OPTIONS, libraries=found, device="cpu")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda path: path.unlink(), "there is no program for this machine; run export/build_engine.py"),
        (lambda path: path.with_suffix(".json").unlink(), "its record can't be read"),
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "has changed since it was compiled"),
        (
            lambda path: path.with_suffix(".json").write_text(
                path.with_suffix(".json").read_text().replace("NVIDIA Test", "NVIDIA Other")
            ),
            "was compiled elsewhere or by another user",
        ),
    ],
    ids=["missing", "no record", "damaged", "another GPU"],
)
def test_only_this_machines_own_programs_are_loaded(
    damage: Any, reason: str, compiled: Compiled, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = open_bundle(shutil.copytree(compiled.bundle.folder, tmp_path / "copy"))
    damage(bundle.folder / compiled.paths["fusion"].relative_to(compiled.bundle.folder))
    monkeypatch.setattr(backend, "require", lambda: compiled.libraries["fusion"])
    with pytest.raises(BundleError, match=reason):
        open_torch_tensorrt(bundle.graph_file("fusion", "fp32"), bundle.manifest.graphs["fusion"])


def test_a_file_that_is_no_program_is_one_line(compiled: Compiled, tmp_path: Path) -> None:
    graph = compiled.bundle.manifest.graphs["fusion"]
    (tmp_path / "x.pt2").write_bytes(b"nothing of the kind")
    with pytest.raises(EngineError, match=r"x\.pt2: is no program of torch"):
        TorchTensorRTEngine(
            tmp_path / "x.pt2", graph.inputs, graph.outputs, OPTIONS.batch, libraries=libraries()
        )


def test_a_full_gpu_is_told_apart(compiled: Compiled) -> None:
    path, found = compiled.paths["fusion"], compiled.libraries["fusion"]
    graph = compiled.bundle.manifest.graphs["fusion"]
    engine = TorchTensorRTEngine(
        path, graph.inputs, graph.outputs, OPTIONS.batch, libraries=found, device="cpu"
    )

    def full(*tensors: Any) -> None:
        raise RuntimeError("CUDA out of memory. Tried to allocate 1 GiB")

    engine._module = full
    feeds = {spec.name: np.zeros((2, *spec.shape[1:]), spec.dtype) for spec in graph.inputs}
    with pytest.raises(OutOfMemoryError, match="batch of 2: the memory is full"):
        engine.run(feeds)


def test_missing_parts_are_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    real = backend.importlib.util.find_spec
    monkeypatch.setattr(
        backend.importlib.util, "find_spec", lambda name: None if name == "torch_tensorrt" else real(name)
    )
    assert backend.unavailable() == (
        "backend torch-tensorrt needs torch_tensorrt, which is not installed; "
        "run: pip install torch-tensorrt, its minor version is torch's"
    )
    monkeypatch.setattr(backend.importlib.util, "find_spec", lambda name: SimpleNamespace())  # noqa: ARG005
    monkeypatch.setattr(backend, "no_gpu", lambda: "the driver finds none")
    with pytest.raises(NoGpuError, match="backend torch-tensorrt can't reach an NVIDIA GPU: the driver"):
        backend.require()


@pytest.mark.gpu
@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_on_a_gpu(name: GraphName, models: Models, bundle: Bundle) -> None:
    """The real torch-tensorrt: compiled, compared, opened as the runtime opens it."""
    need("torch-tensorrt")
    compile_program(name, getattr(models, name), bundle, options=OPTIONS)
    path, graph = bundle.graph_file(name, "fp32"), bundle.manifest.graphs[name]
    reference = OrtEngine(path, graph.inputs, graph.outputs, threads=1)
    compare(path.name, open_torch_tensorrt(path, graph), reference, "fp32")
