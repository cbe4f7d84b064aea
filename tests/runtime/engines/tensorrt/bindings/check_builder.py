# ruff: noqa: ARG002, ARG005 - doubles take what the real ones take
"""The builder against doubles of the real classes: what it asks for, and each step refused in turn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import tensorrt as trt
from signatures import accepts, honest

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.tensorrt import builder, library, timing_cache
from emorec_rt.engines.tensorrt.cuda import current_device
from emorec_rt.engines.tensorrt.errors import BuildCancelledError
from emorec_rt.engines.tensorrt.log import shared_log
from emorec_rt.engines.tensorrt.options import BatchRange, BuildOptions
from emorec_rt.errors import BundleError, EngineError, OutOfMemoryError
from simulated_cuda import SimulatedCuda

INPUTS = (
    TensorSpec(name="frames", dtype="uint8", shape=(-1, 4, 3)),
    TensorSpec(name="mask", dtype="float32", shape=(-1, 4)),
)
BATCH = BatchRange(1, 4, 8)
PLAIN = BuildOptions()


class World:
    """TensorRT with doubles for what needs its libraries; ``change`` replaces results before a build."""

    def __init__(self) -> None:
        self.flags: set[object] = {trt.BuilderFlag.TF32}
        self.asked: dict[str, Any] = {}
        self.errors: list[str] = []
        self.plan: Callable[[], bytes | None] = lambda: b"plan"
        self.network = self._network()
        self.profile = honest(trt.IOptimizationProfile, set_shape=self._set_shape)
        self.results: dict[str, Any] = {
            "create_network": self._create_network,
            "create_builder_config": lambda: self.config,
            "create_optimization_profile": lambda: self.profile,
            "build_serialized_network": self._build,
        }
        self.parsing: dict[str, Any] = {"parse_from_file": True, "num_errors": 0}
        self.configuring: dict[str, Any] = {
            "set_memory_pool_limit": lambda pool, size: self.asked.update({"workspace": (pool, size)}),
            "get_memory_pool_limit": lambda pool: self.asked["workspace"][1],
            "set_flag": lambda flag: self.flags.add(flag),
            "clear_flag": lambda flag: self.flags.discard(flag),
            "get_flag": lambda flag: flag in self.flags,
            "add_optimization_profile": 0,
            "create_timing_cache": self._create_cache,
            "set_timing_cache": True,
            "get_timing_cache": lambda: honest(trt.ITimingCache, serialize=b"timings"),
        }

    def change(self, owner: str, **results: Any) -> None:
        """Other results: ``builder``, ``parser`` or ``config``."""
        {"builder": self.results, "parser": self.parsing, "config": self.configuring}[owner].update(results)

    def module(self) -> SimpleNamespace:
        """What stands for the module ``tensorrt``."""
        self.config = honest(trt.IBuilderConfig, **self.configuring)
        doubles = {"Builder": self._builder, "OnnxParser": self._parser}
        return SimpleNamespace(**{**vars(trt), **doubles})

    def fail(self, complaint: str) -> None:
        """Complain to the logger, as TensorRT does before it returns None."""
        shared_log().logger.log(trt.ILogger.ERROR, complaint)

    def _builder(self, logger: object) -> object:
        assert isinstance(logger, trt.ILogger)
        return honest(trt.Builder, **self.results)

    def _parser(self, network: object, logger: object) -> object:
        assert accepts(trt.OnnxParser.__init__, 2, ())
        assert network is self.network
        return honest(trt.OnnxParser, **self.parsing)

    def _create_network(self, flags: int) -> object:
        self.asked["network"] = flags
        return self.network

    def _create_cache(self, timings: bytes) -> object:
        self.asked.setdefault("caches", []).append(timings)
        return honest(trt.ITimingCache)

    def _set_shape(self, name: str, *shapes: tuple[int, ...]) -> None:
        self.asked[name] = shapes

    def _build(self, network: object, config: object) -> bytes | None:
        assert (network, config) == (self.network, self.config)
        return self.plan()

    def _network(self) -> object:
        tensors = [honest(trt.ITensor, name=spec.name) for spec in INPUTS]
        return honest(trt.INetworkDefinition, num_inputs=2, get_input=lambda index: tensors[index])


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def build(world: World, simulated: SimulatedCuda, monkeypatch: pytest.MonkeyPatch) -> Callable[..., bytes]:
    def run(options: BuildOptions = PLAIN, **arguments: Any) -> bytes:
        monkeypatch.setattr(library, "import_tensorrt", world.module)
        return builder.build_plan(
            Path("m.onnx"), INPUTS, BATCH, options, device=current_device(), **arguments
        ).plan

    return run


def test_a_plan_is_built_strongly_typed(world: World, build: Callable[..., bytes]) -> None:
    assert build() == b"plan"
    assert world.asked["network"] == 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    assert world.asked["frames"] == ((1, 4, 3), (4, 4, 3), (8, 4, 3))
    assert world.asked["mask"] == ((1, 4), (4, 4), (8, 4))
    assert world.asked["workspace"] == (trt.MemoryPoolType.WORKSPACE, 1 << 29)
    assert world.config.builder_optimization_level == 3
    assert world.flags == {trt.BuilderFlag.TF32}


def test_options_arrive(world: World, build: Callable[..., bytes]) -> None:
    build(
        BuildOptions(
            tf32=False,
            refit=True,
            version_compatible=True,
            ampere_plus=True,
            optimization_level=5,
            workspace_bytes=1234,
        )
    )
    assert world.flags == {trt.BuilderFlag.REFIT, trt.BuilderFlag.VERSION_COMPATIBLE}
    assert world.config.builder_optimization_level == 5
    assert world.config.hardware_compatibility_level == trt.HardwareCompatibilityLevel.AMPERE_PLUS
    assert world.config.profiling_verbosity == trt.ProfilingVerbosity.DETAILED
    assert world.asked["workspace"][1] == 1234


def test_a_jetson_keeps_most_of_its_memory(
    world: World, build: Callable[..., bytes], simulated: SimulatedCuda
) -> None:
    simulated.integrated = True
    build()
    assert world.asked["workspace"][1] == simulated.memory_bytes // 8


@pytest.mark.parametrize(
    ("owner", "results", "message"),
    [
        ("builder", {"create_network": None}, "creating a network"),
        ("builder", {"create_builder_config": None}, "creating a builder configuration"),
        ("builder", {"create_optimization_profile": None}, "creating an optimisation profile"),
        ("builder", {"build_serialized_network": None}, "m.onnx: building a plan"),
        ("config", {"get_memory_pool_limit": 0}, "limiting the workspace to"),
        ("config", {"get_flag": False}, "setting BuilderFlag.TF32 to True left it at False"),
        ("config", {"add_optimization_profile": -1}, "adding the optimisation profile"),
    ],
    ids=lambda value: str(value),
)
def test_each_refusal_is_an_error_with_the_reason(
    world: World, build: Callable[..., bytes], owner: str, results: dict[str, Any], message: str
) -> None:
    def refuse(result: Any) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            world.fail("[Error] the\n reason")
            return result

        return call

    world.change(owner, **{name: refuse(result) for name, result in results.items()})
    with pytest.raises(EngineError, match=message) as caught:
        build()
    assert "the reason" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not shared_log().complaints


@pytest.mark.parametrize("complaint", ["Cuda Runtime (out of memory)", "OutOfMemory (Requested size was 5)"])
def test_memory_shortage_is_told_apart(world: World, build: Callable[..., bytes], complaint: str) -> None:
    def starve() -> None:
        world.fail(complaint)

    world.plan = starve
    with pytest.raises(OutOfMemoryError, match="smaller batch"):
        build()


def test_null_from_the_real_builder_is_an_error(simulated: SimulatedCuda) -> None:
    """The bindings themselves: the stand-in libraries give null pointers, as without a driver."""
    with pytest.raises(EngineError, match=r"starting TensorRT's builder: .*nvidia-smi"):
        builder.build_plan(Path("m.onnx"), INPUTS, BATCH, BuildOptions(), device=current_device())


def test_a_null_parser_is_an_error(
    world: World, build: Callable[..., bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def null(network: object, logger: object) -> object:
        raise TypeError("pybind11::init(): factory function returned nullptr")

    monkeypatch.setattr(world, "_parser", null)
    with pytest.raises(EngineError, match=r"creating the ONNX parser .*nullptr"):
        build()


def test_parser_errors_name_node_and_operator(world: World, build: Callable[..., bytes]) -> None:
    details = {"node": 7, "node_name": "/attn/Q", "node_operator": "QuantizeLinear", "desc": "zero\npoint"}
    world.change(
        "parser",
        parse_from_file=False,
        num_errors=2,
        get_error=lambda index: honest(trt.ParserError, **details),
    )
    with pytest.raises(BundleError) as caught:
        build()
    assert str(caught.value) == (
        f"m.onnx: TensorRT {trt.__version__} can't parse it: "
        "node 7 /attn/Q (QuantizeLinear): zero point (and 1 more)"
    )


def test_a_parser_without_a_reason_still_fails(world: World, build: Callable[..., bytes]) -> None:
    world.change("parser", parse_from_file=False)
    with pytest.raises(BundleError, match="gave no reason"):
        build()


def test_other_inputs_are_refused(world: World, build: Callable[..., bytes]) -> None:
    world.network.num_inputs = 1  # type: ignore[attr-defined]
    with pytest.raises(BundleError, match=r"says inputs \['frames', 'mask'\], the graph has \['frames'\]"):
        build()


def test_refused_shapes_are_an_error(world: World, build: Callable[..., bytes]) -> None:
    def refuse(*args: object) -> None:
        raise ValueError("min > max")

    world.profile = honest(trt.IOptimizationProfile, set_shape=refuse)
    with pytest.raises(EngineError, match="for input frames: min > max"):
        build()


class TestTimings:
    def test_are_kept_between_builds(self, world: World, build: Callable[..., bytes], tmp_path: Path) -> None:
        path = tmp_path / "timings.cache"
        build(timings=path)
        build(timings=path)
        assert world.asked["caches"] == [b"", b"timings"]

    @pytest.mark.parametrize("refusal", [{"set_timing_cache": lambda cache, ignore: False}, "create"])
    def test_of_another_gpu_are_ignored(
        self, world: World, build: Callable[..., bytes], tmp_path: Path, refusal: Any
    ) -> None:
        path = tmp_path / "timings.cache"
        timing_cache.write(path, b"foreign")
        given: list[bytes] = []

        def create(timings: bytes) -> object:
            given.append(timings)
            if timings and refusal == "create":
                return None
            return honest(trt.ITimingCache)

        def attach(cache: object, ignore_mismatch: bool) -> bool:
            return not ignore_mismatch and given[-1] == b""

        world.change("config", create_timing_cache=create, set_timing_cache=attach)
        assert build(timings=path) == b"plan"
        assert given == [b"foreign", b""]
        assert timing_cache.read(path) == b"timings"

    def test_that_can_not_even_be_empty_are_an_error(
        self, world: World, build: Callable[..., bytes], tmp_path: Path
    ) -> None:
        world.change("config", create_timing_cache=None)
        with pytest.raises(EngineError, match="creating a timing cache"):
            build(timings=tmp_path / "timings.cache")

    @pytest.mark.parametrize("cache", [None, "serialize"])
    def test_that_can_not_be_read_back_cost_nothing(
        self, world: World, build: Callable[..., bytes], tmp_path: Path, cache: Any
    ) -> None:
        double = cache and honest(trt.ITimingCache, serialize=None)
        world.change("config", get_timing_cache=lambda: double)
        assert build(timings=tmp_path / "timings.cache") == b"plan"
        assert not list(tmp_path.iterdir())


class TestProgress:
    def drive(self, world: World) -> Callable[[], bytes | None]:
        """Build two of three steps, then obey the monitor."""

        def plan() -> bytes | None:
            monitor = world.config.progress_monitor
            assert isinstance(monitor, trt.IProgressMonitor)
            monitor.phase_start("Build", None, 3)
            monitor.phase_start("Timing", "Build", 1)
            going = monitor.step_complete("Timing", 0) and monitor.step_complete("Build", 1)
            monitor.phase_finish("Timing")
            monitor.phase_finish("Build")
            return b"plan" if going else None

        return plan

    def test_is_told(self, world: World, build: Callable[..., bytes]) -> None:
        world.plan = self.drive(world)
        told: list[tuple[str, int, int]] = []

        def tell(*step: Any) -> bool:
            told.append(step)
            return True

        assert build(progress=tell) == b"plan"
        assert told == [("Build", 0, 3), ("Build > Timing", 0, 1), ("Build > Timing", 1, 1), ("Build", 2, 3)]

    def test_can_stop_the_build(self, world: World, build: Callable[..., bytes]) -> None:
        world.plan = self.drive(world)
        with pytest.raises(BuildCancelledError, match=r"m\.onnx: the build was stopped"):
            build(progress=lambda phase, done, steps: done < 1)

    def test_passes_exceptions_around_the_library(self, world: World, build: Callable[..., bytes]) -> None:
        world.plan = self.drive(world)

        def interrupt(phase: str, done: int, steps: int) -> bool:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build(progress=interrupt)
