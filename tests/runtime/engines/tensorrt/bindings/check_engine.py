# ruff: noqa: ARG002, ARG005 - doubles take what the real ones take
"""The engine on doubles of the real classes that compute in host memory, each refusal in turn."""

from __future__ import annotations

import ctypes
import gc
import math
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorrt as trt
from signatures import honest

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.tensorrt import library
from emorec_rt.engines.tensorrt.engine import TensorRTEngine
from emorec_rt.engines.tensorrt.log import shared_log
from emorec_rt.errors import BundleError, EngineError, NoGpuError, OutOfMemoryError
from emorec_rt.machine.device_array import DeviceBatch, from_dlpack
from simulated_cuda import SimulatedCuda

INPUTS = (
    TensorSpec(name="frames", dtype="uint8", shape=(-1, 3)),
    TensorSpec(name="gain", dtype="float32", shape=(-1, 1)),
)
OUTPUTS = (TensorSpec(name="embeddings", dtype="float32", shape=(-1, 3)),)
LARGEST = 4


class World:
    """A plan that computes ``embeddings = frames * gain``; ``refuse`` replaces a method's result."""

    def __init__(self, cuda: SimulatedCuda) -> None:
        self.cuda = cuda
        self.contexts = 0
        self.pause_seconds = 0.0
        self.output_shape: tuple[int, ...] | None = None
        self.refusals: dict[str, Any] = {}
        self.dtypes = {
            "frames": trt.DataType.UINT8,
            "gain": trt.DataType.FLOAT,
            "embeddings": trt.DataType.FLOAT,
        }

    def module(self) -> SimpleNamespace:
        """What stands for the module ``tensorrt``."""
        return SimpleNamespace(**{**vars(trt), "Runtime": self._runtime})

    def _runtime(self, logger: object) -> object:
        assert isinstance(logger, trt.ILogger)
        self.runtime = honest(
            trt.Runtime,
            **self._with(deserialize_cuda_engine=self._deserialize, engine_host_code_allowed=False),
        )
        return self.runtime

    def _deserialize(self, data: bytes) -> object:
        assert data == b"plan"
        names = list(self.dtypes)
        return honest(
            trt.ICudaEngine,
            **self._with(
                num_io_tensors=3,
                get_tensor_name=lambda index: names[index],
                get_tensor_dtype=lambda name: self.dtypes[name],
                get_tensor_mode=self._mode,
                get_tensor_shape=lambda name: _spec(name).shape,
                get_tensor_profile_shape=self._profile,
                create_execution_context=self._context,
            ),
        )

    def _mode(self, name: str) -> object:
        return trt.TensorIOMode.OUTPUT if name == "embeddings" else trt.TensorIOMode.INPUT

    def _profile(self, name: str, index: int) -> list[tuple[int, ...]]:
        assert index == 0
        return [(batch, *_spec(name).shape[1:]) for batch in (1, 2, LARGEST)]

    def _context(self) -> object:
        self.contexts += 1
        context = Context(self)
        return honest(
            trt.IExecutionContext,
            **self._with(
                set_optimization_profile_async=lambda index, stream: index == 0,
                set_input_shape=context.set_input_shape,
                set_tensor_address=context.set_tensor_address,
                infer_shapes=context.infer_shapes,
                get_tensor_shape=context.get_tensor_shape,
                execute_async_v3=context.execute,
            ),
        )

    def _with(self, **results: Any) -> dict[str, Any]:
        return {name: self.refusals.get(name, result) for name, result in results.items()}


class Context:
    """What an execution context keeps and does."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self.shapes[name] = shape
        return 1 <= shape[0] <= LARGEST

    def set_tensor_address(self, name: str, address: int) -> bool:
        self.addresses[name] = address
        return True

    def infer_shapes(self) -> list[str]:
        return [spec.name for spec in INPUTS if spec.name not in self.shapes]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self.world.output_shape or (self.shapes["frames"][0], 3)

    def execute(self, stream: int) -> bool:
        frames, gain, embeddings = (self._view(spec) for spec in (*INPUTS, *OUTPUTS))
        self.world.cuda.submit(stream, lambda: np.copyto(embeddings, frames * gain))
        time.sleep(self.world.pause_seconds)
        return True

    def _view(self, spec: TensorSpec) -> Any:
        shape = (self.shapes["frames"][0], *spec.shape[1:])
        kind = ctypes.c_uint8 * (math.prod(shape) * np.dtype(spec.dtype).itemsize)
        return np.frombuffer(kind.from_address(self.addresses[spec.name]), spec.dtype).reshape(shape)


def _spec(name: str) -> TensorSpec:
    return next(spec for spec in (*INPUTS, *OUTPUTS) if spec.name == name)


@pytest.fixture
def world(simulated: SimulatedCuda) -> World:
    return World(simulated)


@pytest.fixture
def load(world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., TensorRTEngine]:
    monkeypatch.setattr(library, "import_tensorrt", world.module)
    (tmp_path / "plan").write_bytes(b"plan")
    return lambda **options: TensorRTEngine(tmp_path / "plan", INPUTS, OUTPUTS, **options)


def _feeds(batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(seed)
    frames = generator.integers(0, 256, (batch, 3), np.uint8)
    return {"frames": frames, "gain": generator.standard_normal((batch, 1), np.float32)}


def _run(engine: TensorRTEngine, batch: int, seed: int = 0) -> None:
    feeds = _feeds(batch, seed)
    (result,) = engine.run(feeds).values()
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, feeds["frames"] * feeds["gain"])


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("cuda_graphs", [0, 1, 2])
def test_every_batch_size_gives_the_right_answer_every_time(
    load: Callable[..., TensorRTEngine], simulated: SimulatedCuda, cuda_graphs: int, integrated: bool
) -> None:
    simulated.integrated = integrated
    engine = load(cuda_graphs=cuda_graphs)
    assert engine.max_batch == LARGEST
    for seed, batch in enumerate([1, 4, 4, 4, 3, 0, 9, 4, 3, 3, 1, 1, 17, 4]):
        _run(engine, batch, seed)
    assert (simulated.launches > 0) == (cuda_graphs > 0)
    assert (simulated.copies == 0) == integrated


@pytest.mark.parametrize("integrated", [False, True])
@pytest.mark.parametrize("cuda_graphs", [0, 2])
def test_inputs_that_are_on_the_gpu_already(
    load: Callable[..., TensorRTEngine], simulated: SimulatedCuda, cuda_graphs: int, integrated: bool
) -> None:
    simulated.integrated = integrated
    engine = load(cuda_graphs=cuda_graphs)
    for seed, (batch, there) in enumerate(
        [(3, True), (3, False), (3, True), (3, False), (9, True), (3, True)]
    ):
        feeds = _feeds(batch, seed)
        wanted = feeds["frames"] * feeds["gain"]
        given: dict[str, Any] = dict(feeds)
        if there:
            given["frames"] = DeviceBatch(from_dlpack(feeds["frames"], feeds["frames"].copy))
        np.testing.assert_array_equal(engine.run(given)["embeddings"], wanted)
    assert (simulated.launches > 0) == (cuda_graphs > 0)


def test_results_belong_to_the_caller(load: Callable[..., TensorRTEngine]) -> None:
    engine = load()
    feeds = _feeds(2)
    first = engine.run(feeds)["embeddings"]
    engine.run(_feeds(2, seed=1))
    np.testing.assert_array_equal(first, feeds["frames"] * feeds["gain"])


def test_strided_inputs_are_taken(load: Callable[..., TensorRTEngine]) -> None:
    feeds = _feeds(8)
    every_other = {name: array[::2] for name, array in feeds.items()}
    np.testing.assert_array_equal(
        load().run(every_other)["embeddings"], (feeds["frames"] * feeds["gain"])[::2]
    )


def test_graphs_are_captured_the_second_time_and_bounded(
    load: Callable[..., TensorRTEngine], world: World, simulated: SimulatedCuda
) -> None:
    engine = load(cuda_graphs=2)
    for batch in (1, 2, 3, 4):
        _run(engine, batch)
    assert (world.contexts, simulated.launches) == (1, 0)
    for batch in (1, 2, 3, 4):
        _run(engine, batch)
    assert (world.contexts, simulated.launches, len(simulated.graphs)) == (5, 4, 2)
    _run(engine, 3)  # kept: 3 and 4; now 4 is the one used longest ago
    assert (world.contexts, simulated.launches) == (5, 5)
    _run(engine, 2)
    _run(engine, 3)
    assert (world.contexts, simulated.launches) == (6, 7)


def test_what_can_not_be_captured_runs_without(
    load: Callable[..., TensorRTEngine], simulated: SimulatedCuda, caplog: pytest.LogCaptureFixture
) -> None:
    simulated.capturable = False
    engine = load()
    for seed in range(4):
        _run(engine, 2, seed)
    assert simulated.launches == 0
    assert [record.message for record in caplog.records] == [
        "running without CUDA graphs: capturing a CUDA graph: streamcaptureunsupported "
        "(cudaErrorStreamCaptureUnsupported); if it stays, restart the program"
    ]


def test_a_run_refused_inside_a_capture_ends_the_capture(
    load: Callable[..., TensorRTEngine], world: World, simulated: SimulatedCuda
) -> None:
    engine = load()
    _run(engine, 2)
    runs = iter([True, False])
    world.refusals["execute_async_v3"] = lambda stream: next(runs)
    _run(engine, 2, 1)
    _run(engine, 2, 2)
    assert simulated.launches == 0


def test_everything_is_given_back(load: Callable[..., TensorRTEngine], simulated: SimulatedCuda) -> None:
    engine = load()
    for _ in range(3):
        _run(engine, 4)
    assert len(simulated.device_blocks) == len(simulated.host_blocks) == 3
    del engine
    gc.collect()
    assert not simulated.device_blocks
    assert not simulated.host_blocks
    assert not simulated.streams
    assert len(simulated.graphs) == 0


def test_threads_take_turns(load: Callable[..., TensorRTEngine], world: World) -> None:
    engine = load()
    world.pause_seconds = 1e-4
    wrong: list[int] = []

    def work(seed: int) -> None:
        for step in range(10):
            feeds = _feeds(1 + seed % 2, 100 * seed + step)
            if not np.array_equal(engine.run(feeds)["embeddings"], feeds["frames"] * feeds["gain"]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


LOADING = {
    "deserialize_cuda_engine": (None, "loading the plan"),
    "create_execution_context": (None, "creating an execution context"),
    "set_optimization_profile_async": (False, "choosing the optimisation profile"),
    "set_tensor_address": (False, "setting the address of frames"),
}
RUNNING = {
    "set_input_shape": (False, "setting frames to a batch of 2"),
    "execute_async_v3": (False, "running a batch of 2"),
}


@pytest.mark.parametrize("complaint", ["[Error] reason", "Error Code 2: OutOfMemory (no memory)", ""])
@pytest.mark.parametrize("method", [*LOADING, *RUNNING])
def test_each_refusal_is_an_error_with_the_reason(
    load: Callable[..., TensorRTEngine], world: World, method: str, complaint: str
) -> None:
    result, message = (LOADING | RUNNING)[method]

    def refuse(*args: Any) -> Any:
        if complaint:
            shared_log().logger.log(trt.ILogger.INTERNAL_ERROR, complaint)
        return result

    world.refusals[method] = refuse
    with pytest.raises(EngineError, match=message) as caught:
        load().run(_feeds(2))
    assert isinstance(caught.value, OutOfMemoryError) == ("OutOfMemory" in complaint)
    assert complaint in str(caught.value)


def test_the_engine_runs_on_after_a_refused_batch(load: Callable[..., TensorRTEngine], world: World) -> None:
    refuse = [True]
    world.refusals["set_input_shape"] = lambda name, shape: not refuse
    engine = load(cuda_graphs=0)
    with pytest.raises(EngineError):
        engine.run(_feeds(2))
    refuse.clear()
    world.refusals.clear()
    with pytest.raises(EngineError, match="frames"):
        engine.run({"frames": np.zeros((2, 4), np.uint8), "gain": np.zeros((2, 1), np.float32)})
    _run(load(), 2)


def test_shapes_that_stay_unknown_are_an_error(load: Callable[..., TensorRTEngine], world: World) -> None:
    world.refusals["infer_shapes"] = lambda: ["gain"]
    with pytest.raises(EngineError, match="wants shapes for gain"):
        load().run(_feeds(1))


def test_an_output_of_another_shape_never_overruns_the_buffer(
    load: Callable[..., TensorRTEngine], world: World
) -> None:
    world.output_shape = (2, 300)
    with pytest.raises(EngineError, match=r"embeddings: expected \[2, 3\], the plan gives \[2, 300\]"):
        load().run(_feeds(2))


def test_a_plan_of_other_types_is_refused(load: Callable[..., TensorRTEngine], world: World) -> None:
    world.dtypes["embeddings"] = trt.DataType.HALF
    with pytest.raises(BundleError, match=r"embeddings float32\[-1, 3\].*embeddings DataType.HALF\[-1, 3\]"):
        load()


def test_batches_that_differ_are_refused(load: Callable[..., TensorRTEngine]) -> None:
    feeds = _feeds(2) | {"gain": np.zeros((3, 1), np.float32)}
    with pytest.raises(EngineError, match="batches differ"):
        load().run(feeds)


def test_a_full_gpu_is_told_apart(load: Callable[..., TensorRTEngine], simulated: SimulatedCuda) -> None:
    simulated.memory_bytes = 20
    with pytest.raises(OutOfMemoryError, match=r"reserving .* bytes on the GPU: .* full"):
        load()
    gc.collect()
    assert not simulated.device_blocks


def test_host_code_is_allowed_only_on_demand(load: Callable[..., TensorRTEngine], world: World) -> None:
    load()
    assert world.runtime.engine_host_code_allowed is False
    load(host_code=True)
    assert world.runtime.engine_host_code_allowed is True


@pytest.mark.parametrize(("devices", "reason"), [(None, "insufficientdriver"), (0, "there is none")])
def test_no_gpu_is_one_line(
    load: Callable[..., TensorRTEngine], simulated: SimulatedCuda, devices: int | None, reason: str
) -> None:
    simulated.devices = devices
    with pytest.raises(NoGpuError, match=reason):
        load()


def test_null_from_the_real_runtime_is_an_error(simulated: SimulatedCuda, tmp_path: Path) -> None:
    (tmp_path / "plan").write_bytes(b"plan")
    with pytest.raises(EngineError, match="starting TensorRT's runtime"):
        TensorRTEngine(tmp_path / "plan", INPUTS, OUTPUTS)


def test_a_missing_plan_is_one_line(load: Callable[..., TensorRTEngine], tmp_path: Path) -> None:
    (tmp_path / "plan").unlink()
    with pytest.raises(BundleError, match="can't be read"):
        load()
