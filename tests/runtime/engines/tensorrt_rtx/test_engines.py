"""NVIDIA's real builder on the demo bundle in every variant, on any machine: what each product became."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import onnx
import pytest

from emorec_calib import ranges as ranges_file
from emorec_export.graphs import write_graph
from emorec_export.quantize import quantised_nodes
from emorec_export.variants import make_variant, needs_ranges
from emorec_rt.bundle import DEFAULT_FOLDER, open_bundle, sha256_of
from emorec_rt.bundle.manifest import GRAPH_NAMES, Graph, GraphName, Precision, Variant
from emorec_rt.constants import PRECISIONS
from emorec_rt.engines import describe
from emorec_rt.engines.tensorrt.builder import build_plan
from emorec_rt.engines.tensorrt.opening import ensure_plan
from emorec_rt.engines.tensorrt.options import BuildOptions
from emorec_rt.engines.tensorrt.plans import PlanFile
from emorec_rt.engines.tensorrt_rtx import RTX
from emorec_rt.errors import BundleError, EngineError, UsageError

pytest.importorskip("tensorrt_rtx")
BUNDLE = open_bundle()
MIB = 1 << 20


@cache
def ranges() -> ranges_file.Ranges:
    return ranges_file.load(DEFAULT_FOLDER / ranges_file.FILE_NAME)


@pytest.fixture(scope="session")
def variant(tmp_path_factory: pytest.TempPathFactory) -> Callable[[GraphName, Precision], tuple[Path, Graph]]:
    """A graph of the demo bundle in any precision, made as the export makes it."""
    folder = tmp_path_factory.mktemp("demo")

    @cache
    def make(name: GraphName, precision: Precision) -> tuple[Path, Graph]:
        model = onnx.load(DEFAULT_FOLDER / f"{name}.fp32.onnx")
        if precision != "fp32":
            found = ranges().graphs[name] if needs_ranges(precision) else None
            model = make_variant(model, precision, found)
        path = folder / f"{name}.{precision}.onnx"
        write_graph(model, path)
        entry = BUNDLE.manifest.graphs[name]
        own = Variant(file=path.name, sha256=sha256_of(path), size_bytes=path.stat().st_size)
        return path, Graph(inputs=entry.inputs, outputs=entry.outputs, variants={precision: own})

    return make


Make = Callable[[GraphName, Precision], tuple[Path, Graph]]


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_every_graph_builds_and_its_layers_are_known(
    name: GraphName, precision: Precision, variant: Make
) -> None:
    path, graph = variant(name, precision)
    record = PlanFile(ensure_plan(path, graph, library=RTX, beside=False)).record()
    assert record.is_ours()
    found = record.inspection
    assert found is not None
    assert found.kernels > 5
    assert 0 < found.activation_bytes < 64 * MIB
    assert found.engine_bytes > 1 * MIB
    assert sum(found.products.values()) >= 7, "every product of the graph is found in the table"
    half = precision in {"fp16", "int8-fp16", "fp8"}
    assert half or "fp32" in found.products


@pytest.mark.parametrize("precision", ["int8-fp16", "fp8"])
@pytest.mark.parametrize("name", GRAPH_NAMES)
def test_all_that_the_recipe_quantises_is_in_8_bits(
    name: GraphName, precision: Precision, variant: Make
) -> None:
    path, graph = variant(name, precision)
    record = PlanFile(ensure_plan(path, graph, library=RTX, beside=False)).record()
    quantised = quantised_nodes(onnx.load(path))
    assert record.inspection is not None
    judged = record.inspection.against(quantised)
    assert judged.warnings() == []
    assert judged.products.get({"int8-fp16": "int8", "fp8": "fp8"}[precision], 0) == len(quantised)


def test_two_builds_are_equal_to_the_last_byte(variant: Make) -> None:
    path, graph = variant("fusion", "int8-fp16")
    options = BuildOptions()
    plans = [
        build_plan(path, graph.inputs, options.batch_for(graph), options, library=RTX).plan for _ in range(2)
    ]
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("targets", "folder"), [((), "rtx{}"), ((80,), "rtx{}-sm80"), ((86, 89, 120), "rtx{}-sm86-sm89-sm120")]
)
def test_targets(targets: tuple[int, ...], folder: str, variant: Make) -> None:
    path, graph = variant("fusion", "fp16")
    plan = ensure_plan(path, graph, options=BuildOptions(targets=targets), library=RTX, beside=False)
    assert plan.parent.name == folder.format(RTX.module().__version__)


def test_fp8_is_built_for_who_has_it(variant: Make) -> None:
    path, graph = variant("fusion", "fp8")
    assert ensure_plan(path, graph, library=RTX, beside=False).parent.name.endswith("-sm89-sm120")
    with pytest.raises(
        UsageError, match=r"--sm 86: FP8 needs compute capability 8.9 or later; ask for 89,120"
    ):
        ensure_plan(path, graph, options=BuildOptions(targets=(86, 120)), library=RTX)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (BuildOptions(refit=True), "--refit is for TensorRT;"),
        (BuildOptions(version_compatible=True), "--version-compatible is for TensorRT;"),
        (BuildOptions(workspace_bytes=1 << 20), "--workspace is for TensorRT;"),
        (BuildOptions(targets=(90,)), "--sm 90: TensorRT for RTX builds for 75, 80"),
    ],
)
def test_what_the_library_does_not_do_is_one_line(options: BuildOptions, line: str, variant: Make) -> None:
    with pytest.raises(UsageError, match=line):
        ensure_plan(*variant("fusion", "fp16"), options=options, library=RTX)


def test_a_graph_that_it_can_not_parse_is_one_line(tmp_path: Path, variant: Make) -> None:
    (tmp_path / "vision.fp32.onnx").write_bytes(b"no graph")
    _, graph = variant("vision", "fp32")
    with pytest.raises(BundleError, match=r"TensorRT for RTX 1.* can't parse it"):
        ensure_plan(tmp_path / "vision.fp32.onnx", graph, library=RTX, beside=False)


def test_a_plan_is_compiled_for_good_on_the_gpu_alone(variant: Make) -> None:
    """Without a GPU it is built, and neither loaded nor compared."""
    backend = describe("tensorrt-rtx")
    assert backend.unbuildable() is None
    if backend.unavailable() is None:
        pytest.skip("this machine has a GPU for it")
    path, graph = variant("fusion", "fp16")
    record = PlanFile(ensure_plan(path, graph, library=RTX, beside=False)).record()
    assert (record.verification, record.identity.gpu, record.driver) == ({}, "", 0)
    with pytest.raises((EngineError, ImportError)) as caught:
        backend.open(path, graph)
    assert str(caught.value).startswith("backend tensorrt-rtx ")
    assert "\n" not in str(caught.value)
