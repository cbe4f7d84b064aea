"""Finding, building, comparing and keeping a plan; TensorRT itself is replaced by an engine in NumPy."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest

from emorec_rt.bundle.manifest import Graph
from emorec_rt.engines.compare import LATENCY_RUNS
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.engines.tensorrt import (
    BatchRange,
    BuildCancelledError,
    BuildOptions,
    ensure_plan,
    library,
    open_tensorrt,
    opening,
)
from emorec_rt.engines.tensorrt.builder import Built
from emorec_rt.engines.tensorrt.cuda import Device
from emorec_rt.engines.tensorrt.library import TENSORRT
from emorec_rt.engines.tensorrt.plans import PlanFile, Sidecar
from emorec_rt.errors import (
    BackendUnavailableError,
    BundleError,
    EngineError,
    MismatchError,
    OutOfMemoryError,
    OutputError,
)


class World:
    """A machine whose plans are copies of the ONNX file, run by ONNX Runtime and then bent by ``bend``."""

    def __init__(self, device: Device) -> None:
        self.device = device
        self.version = "10.3.0"
        self.builds: list[dict[str, Any]] = []
        self.bend: Callable[[np.ndarray], np.ndarray] = lambda array: array
        self.build_error: Exception | None = None
        self.batches: list[int] = []

    def build_plan(self, onnx_file: Path, *arguments: Any, **options: Any) -> Built:
        self.builds.append({"file": onnx_file.name, "batch": arguments[1], **options})
        if self.build_error:
            raise self.build_error
        return Built(onnx_file.read_bytes())

    def engine(self, plan: Path, inputs: Any, outputs: Any, **options: Any) -> Any:
        session = OrtEngine(plan, inputs, outputs, threads=1)

        def run(feeds: Any) -> dict[str, np.ndarray]:
            self.batches.append(len(feeds["frames"]))
            return {name: self.bend(array.copy()) for name, array in session.run(feeds).items()}

        return SimpleNamespace(
            inputs=inputs, outputs=outputs, run=run, max_batch=4, plan=plan, options=options, layers=list
        )


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch, jetson: Device, user_cache: Callable[[], list[str]]) -> World:
    world = World(jetson)
    monkeypatch.setattr(library, "import_tensorrt", lambda: SimpleNamespace(__version__=world.version))
    monkeypatch.setattr(library, "current_device", lambda: world.device)
    monkeypatch.setattr(opening, "build_plan", world.build_plan)
    monkeypatch.setattr(opening, "TensorRTEngine", world.engine)
    return world


def _files(bundle: Path) -> list[str]:
    return sorted(str(path.relative_to(bundle)) for path in bundle.rglob("*") if path.is_file())


PLAN = "plans/orin-nvgpu-sm87-trt10.3.0/vision.fp32"


def test_a_plan_is_built_once_compared_and_kept(
    world: World, graph: tuple[Path, Graph], caplog: pytest.LogCaptureFixture
) -> None:
    path, entry = graph
    plan = ensure_plan(path, entry)
    assert _files(path.parent) == [f"{PLAN}.json", f"{PLAN}.plan", "vision.fp32.onnx"]
    assert [record.message for record in caplog.records] == [
        f"building {plan} (there is none yet); this takes minutes"
    ]
    assert world.batches == [1, 1, 1, 3, 3, 3, 4, 4, 4] + [4] * LATENCY_RUNS
    record = msgspec.json.decode(plan.with_suffix(".json").read_bytes(), type=Sidecar)
    found = dict(record.verification)
    assert found.pop("latency_ms") > 0
    assert found == {"cosine": pytest.approx(1.0), "norm": 0.0, "items": 24, "latency_batch": 4}
    assert record.identity.shapes == {"frames": ((1, 6), (16, 6), (16, 6))}
    caplog.clear()
    assert ensure_plan(path, entry) == plan
    assert len(world.builds) == 1
    assert not caplog.records


def test_the_engine_is_opened_on_the_plan(world: World, graph: tuple[Path, Graph]) -> None:
    options = BuildOptions(version_compatible=True)
    engine: Any = open_tensorrt(*graph, options=options, cuda_graphs=1)
    assert engine.plan.read_bytes() == graph[0].read_bytes()
    assert engine.options == {"library": TENSORRT, "cuda_graphs": 1, "host_code": True}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda world: setattr(world, "version", "10.3.1"), "there is none yet"),
        (
            lambda world: setattr(world, "device", _another(world.device)),
            "gpu Orin .nvgpu. instead of orin nvgpu",
        ),
    ],
)
def test_another_tensorrt_or_gpu_is_built_for(
    world: World,
    graph: tuple[Path, Graph],
    caplog: pytest.LogCaptureFixture,
    change: Callable[[World], None],
    reason: str,
) -> None:
    ensure_plan(*graph)
    caplog.clear()
    change(world)
    ensure_plan(*graph)
    assert len(world.builds) == 2
    assert re.search(reason, caplog.text)


def test_a_plan_with_other_options_serves_who_asks_for_none(world: World, graph: tuple[Path, Graph]) -> None:
    special = BuildOptions(batch=BatchRange(1, 2, 4), workspace_bytes=1 << 20, version_compatible=True)
    plan = ensure_plan(*graph, options=special)
    engine: Any = open_tensorrt(*graph)
    assert len(world.builds) == 1
    assert (engine.plan, engine.options["host_code"]) == (plan, True)
    ensure_plan(*graph, options=BuildOptions())
    assert len(world.builds) == 2


@pytest.mark.parametrize(
    ("compatible", "later", "builds"),
    [(True, "10.13.3", 1), (False, "10.13.3", 2), (True, "11.4.0", 2), (True, "10.2.9", 2)],
    ids=["serves a later release", "bound to its release", "not another major", "not an earlier release"],
)
def test_a_version_compatible_plan_outlives_its_release(
    world: World, graph: tuple[Path, Graph], compatible: bool, later: str, builds: int
) -> None:
    plan = ensure_plan(*graph, options=BuildOptions(version_compatible=compatible))
    world.version = later
    assert (ensure_plan(*graph) == plan) == (builds == 1)
    assert len(world.builds) == builds


def test_a_plan_that_does_not_fit_says_how_to_make_one_that_does(
    world: World, graph: tuple[Path, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    ensure_plan(*graph)

    def full(*arguments: Any, **options: Any) -> None:
        raise OutOfMemoryError("creating an execution context: the memory is full")

    monkeypatch.setattr(opening, "TensorRTEngine", full)
    with pytest.raises(OutOfMemoryError, match="is full: emorec-rt build --max-batch N"):
        open_tensorrt(*graph)


@pytest.mark.parametrize(("capability", "fits"), [((8, 7), False), ((8, 9), True), ((9, 0), True)])
def test_fp8_needs_the_hardware(
    world: World, graph: tuple[Path, Graph], capability: tuple[int, int], fits: bool
) -> None:
    path, entry = graph
    world.device = Device(**{**_fields(world.device), "compute_capability": capability})
    renamed = path.rename(path.with_name("vision.fp8.onnx"))
    variant = msgspec.structs.replace(entry.variants["fp32"], file=renamed.name)
    entry = msgspec.structs.replace(entry, variants={"fp8": variant})
    if fits:
        assert ensure_plan(renamed, entry).name == "vision.fp8.plan"
    else:
        with pytest.raises(EngineError, match=r"FP8 needs .* 8.9 or later, Orin .* has 8.7; take int8-fp16"):
            ensure_plan(renamed, entry)


def _another(device: Device) -> Device:
    """Its slug is the same, so the folder is; the record tells them apart."""
    return Device(**{**_fields(device), "name": "orin nvgpu"})


def _fields(device: Device) -> dict[str, Any]:
    return {name: getattr(device, name) for name in device.__slots__}


def test_a_rebuild_can_be_asked_for(
    world: World, graph: tuple[Path, Graph], caplog: pytest.LogCaptureFixture
) -> None:
    ensure_plan(*graph)
    ensure_plan(*graph, rebuild=True)
    assert len(world.builds) == 2
    assert "(it was asked for)" in caplog.text


@pytest.mark.parametrize(
    ("bend", "reason"),
    [
        (lambda array: array[:, ::-1], "cosine"),
        (lambda array: array * 1.1, "norm off by 10.0%"),
        (lambda array: np.where(array == array.max(), np.nan, array), "1 of 5 values that are not finite"),
        (lambda array: np.zeros_like(array), "cosine 0.0000"),
    ],
    ids=["permuted", "scaled", "not finite", "nothing"],
)
def test_a_plan_that_computes_something_else_is_deleted(
    world: World, graph: tuple[Path, Graph], bend: Callable[[np.ndarray], np.ndarray], reason: str
) -> None:
    world.bend = bend
    with pytest.raises(MismatchError, match=reason):
        ensure_plan(*graph)
    assert _files(graph[0].parent) == ["vision.fp32.onnx"]


def test_a_mismatch_only_in_the_third_run_is_seen(world: World, graph: tuple[Path, Graph]) -> None:
    """The third run is the first that comes from a CUDA graph."""
    world.bend = lambda array: array * (0 if len(world.batches) == 3 else 1)
    with pytest.raises(MismatchError):
        ensure_plan(*graph)


def test_a_mismatch_leaves_the_old_plan(world: World, graph: tuple[Path, Graph]) -> None:
    plan = ensure_plan(*graph)
    world.bend = lambda array: -array
    with pytest.raises(MismatchError):
        ensure_plan(*graph, rebuild=True)
    assert ensure_plan(*graph) == plan
    assert len(world.builds) == 2


def test_the_comparison_can_be_left_out(world: World, graph: tuple[Path, Graph]) -> None:
    plan = ensure_plan(*graph, check=False)
    assert world.batches == []
    assert msgspec.json.decode(plan.with_suffix(".json").read_bytes(), type=Sidecar).verification == {}


def test_real_inputs_can_be_compared(world: World, graph: tuple[Path, Graph]) -> None:
    ensure_plan(*graph, feeds={"frames": np.full((2, 6), 7, np.uint8)})
    assert world.batches[:-LATENCY_RUNS] == [2, 2, 2]


def test_a_missing_onnxruntime_is_told_before_the_build(
    world: World, graph: tuple[Path, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*arguments: Any, **options: Any) -> None:
        raise BackendUnavailableError("onnxruntime", "onnxruntime", "pip install 'emorec[cpu]'")

    monkeypatch.setattr("emorec_rt.engines.ort.OrtEngine", missing)
    with pytest.raises(BackendUnavailableError):
        ensure_plan(*graph)
    assert not world.builds


@pytest.mark.parametrize("error", [BuildCancelledError("stopped"), OutOfMemoryError("full")])
def test_a_build_that_fails_leaves_nothing(world: World, graph: tuple[Path, Graph], error: Exception) -> None:
    world.build_error = error
    with pytest.raises(type(error)):
        ensure_plan(*graph)
    assert _files(graph[0].parent) == ["vision.fp32.onnx"]


def test_a_bundle_that_can_not_be_written_is_left_alone(
    world: World, graph: tuple[Path, Graph], user_cache: Callable[[], list[str]]
) -> None:
    (graph[0].parent / "plans").touch()
    plan = ensure_plan(*graph)
    sha = graph[1].variants["fp32"].sha256[:16]
    assert [name for name in user_cache() if "/plans/" in name] == [
        f"emorec/plans/orin-nvgpu-sm87-trt10.3.0/vision.fp32.{sha}.{suffix}" for suffix in ("json", "plan")
    ]
    assert ensure_plan(*graph) == plan
    assert len(world.builds) == 1


def test_a_full_disk_is_one_line(
    world: World, graph: tuple[Path, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(opening.tempfile, "mkstemp", full)
    with pytest.raises(OutputError, match=r"vision.fp32.plan: the plan can't be written .No space left"):
        ensure_plan(*graph)


def test_a_file_that_is_no_variant_is_refused(world: World, graph: tuple[Path, Graph]) -> None:
    with pytest.raises(BundleError, match="not a variant of its graph"):
        ensure_plan(graph[0].with_name("other.onnx"), graph[1])


def test_building_says_so_once_on_the_projects_logger(
    world: World, graph: tuple[Path, Graph], caplog: pytest.LogCaptureFixture
) -> None:
    ensure_plan(*graph)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("emorec_rt.engines.tensorrt.opening", logging.WARNING)


def test_a_draft_of_a_killed_build_goes_with_the_next_one(tmp_path: Path) -> None:
    place = PlanFile(tmp_path / "vision.fp32.plan")
    left, other = tmp_path / "vision.fp32.plan.abc.new", tmp_path / "audio.fp32.plan.abc.new"
    left.touch()
    other.touch()
    draft = opening._draft(place, b"plan")
    assert sorted(tmp_path.iterdir()) == sorted([draft, other])
