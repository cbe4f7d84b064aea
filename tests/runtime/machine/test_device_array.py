"""Arrays on a device, taken over through DLPack; NumPy's own memory stands for the device's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.base import Engine
from emorec_rt.engines.batching import Batcher, Item
from emorec_rt.engines.tensorrt.cuda import Stream
from emorec_rt.engines.tensorrt.memory import TensorBuffer
from emorec_rt.errors import EngineError
from emorec_rt.machine.device_array import DeviceArray, DeviceBatch, from_dlpack
from simulated_cuda import SimulatedCuda

FRAMES = TensorSpec(name="frames", dtype="uint8", shape=(-1, 4, 4, 3))


def batch(items: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 255, (items, 4, 4, 3)).astype(np.uint8)


def on_device(array: NDArray[Any]) -> list[DeviceArray]:
    return from_dlpack(array, lambda: array.copy())


@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_items_lie_where_the_tensor_does(dtype: str) -> None:
    array = batch().astype(dtype)
    items = on_device(array)
    assert [item.address for item in items] == [array[k].ctypes.data for k in range(3)]
    assert {item.shape for item in items} == {(4, 4, 3)}
    assert {item.dtype for item in items} == {np.dtype(dtype)}
    assert items[0].size_bytes == array[0].nbytes
    for item, wanted in zip(items, array, strict=True):
        np.testing.assert_array_equal(np.asarray(item), wanted)


def test_they_keep_the_memory_alive() -> None:
    items = on_device(batch())
    address = items[1].address
    import ctypes
    import gc

    gc.collect()
    seen = (ctypes.c_uint8 * 48).from_address(address)
    np.testing.assert_array_equal(np.frombuffer(seen, np.uint8), batch()[1].ravel())


def test_a_tensor_with_gaps_is_refused() -> None:
    with pytest.raises(EngineError, match="not dense"):
        on_device(batch()[:, ::2])
    with pytest.raises(EngineError, match="not dense"):
        on_device(batch().transpose(0, 3, 1, 2))


def test_an_odd_type_is_refused() -> None:
    with pytest.raises(EngineError, match="not supported"):
        on_device(np.zeros((2, 3), np.complex64))


class Recorder(Engine):
    """Gives the mean of each item, and remembers what it was fed."""

    inputs = (FRAMES,)
    outputs = (TensorSpec(name="means", dtype="float32", shape=(-1, 1)),)

    def __init__(self, *, takes_device_arrays: bool) -> None:
        self.takes_device_arrays = takes_device_arrays
        self.fed: list[object] = []

    def run(self, feeds: Any) -> Item:
        self.fed.append(feeds["frames"])
        return {"means": np.asarray(feeds["frames"]).reshape(len(feeds["frames"]), -1).mean(1, keepdims=True)}


@pytest.mark.parametrize("takes", [True, False])
def test_a_batch_goes_as_it_is_to_an_engine_that_takes_it(takes: bool) -> None:
    engine = Recorder(takes_device_arrays=takes)
    batcher = Batcher(engine, 3)
    answers = [batcher.submit({"frames": item}) for item in on_device(batch())]  # type: ignore[dict-item]
    got = [float(answer.outputs["means"][0]) for answer in answers if answer.outputs is not None]
    assert isinstance(engine.fed[0], DeviceBatch if takes else np.ndarray)
    np.testing.assert_allclose(got, batch().reshape(3, -1).mean(1))


def test_a_batch_of_both_kinds_goes_through_the_host() -> None:
    engine = Recorder(takes_device_arrays=True)
    batcher = Batcher(engine, 2)
    batcher.submit({"frames": batch()[0]})
    batcher.submit({"frames": on_device(batch())[1]})  # type: ignore[dict-item]
    np.testing.assert_array_equal(np.asarray(engine.fed[0]), batch()[:2])


def test_the_tensorrt_buffer_copies_within_the_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from emorec_rt.engines.tensorrt import cuda, memory

    simulated = SimulatedCuda()
    for module in (cuda, memory):
        monkeypatch.setattr(module, "import_cuda_runtime", lambda: simulated)
    buffer, stream = TensorBuffer(FRAMES, 4, mapped=False), Stream()
    buffer.take(on_device(batch()), stream)
    assert simulated.copies == 3
    buffer.download(3, stream)
    np.testing.assert_array_equal(buffer.host(3), batch())
