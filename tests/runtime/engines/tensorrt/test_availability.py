# ruff: noqa: ARG005 - doubles take what the real ones take
"""Machines without TensorRT, without bindings, without a driver: one line that says what to install."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from emorec_rt.engines.tensorrt import api, cuda, current_device, unavailable
from emorec_rt.errors import BackendUnavailableError, EngineError, NoGpuError
from simulated_cuda import SimulatedCuda


@pytest.fixture(autouse=True)
def fresh_imports() -> None:
    api.import_tensorrt.cache_clear()
    api.import_cuda_runtime.cache_clear()


def _no(module: str, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> object:
        if name.startswith(module):
            raise error
        return importlib.import_module(name)

    monkeypatch.setattr(api.importlib, "import_module", load)


@pytest.mark.parametrize(
    ("jetson", "install"),
    [(False, "pip install 'emorec[tensorrt]'"), (True, "sudo apt-get install python3-libnvinfer")],
)
@pytest.mark.parametrize("host", [True, False])
def test_missing_tensorrt_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, jetson: bool, install: str, host: bool
) -> None:
    sign = tmp_path / "sign"
    if jetson:
        sign.touch()
    monkeypatch.setattr(api, "JETSON_RELEASE", sign if host else tmp_path / "hidden in a container")
    monkeypatch.setattr(api, "JETSON_MEMORY", tmp_path / "none" if host else sign)
    _no("tensorrt", ModuleNotFoundError("no", name="tensorrt"), monkeypatch)
    assert unavailable() == f"backend tensorrt needs tensorrt, which is not installed; run: {install}"


def test_a_tensorrt_without_its_libraries_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    _no("tensorrt", ImportError("libnvinfer.so.10: cannot open shared object file"), monkeypatch)
    with pytest.raises(BackendUnavailableError, match=r"a whole TensorRT \(libnvinfer.so.10: cannot open"):
        api.import_tensorrt()


@pytest.mark.parametrize(
    ("version", "fits"), [("8.6.2", False), ("10.0.1", False), ("10.3.0", True), ("11.4.0.106", True)]
)
def test_old_tensorrt_is_refused(monkeypatch: pytest.MonkeyPatch, version: str, fits: bool) -> None:
    module = SimpleNamespace(__version__=version)
    monkeypatch.setattr(api.importlib, "import_module", lambda name: module)
    if fits:
        assert api.import_tensorrt() is module
    else:
        with pytest.raises(BackendUnavailableError, match=rf"TensorRT 10.3 or later \(found {version}\)"):
            api.import_tensorrt()


def test_missing_cuda_bindings_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    _no("cuda", ImportError("no"), monkeypatch)
    with pytest.raises(BackendUnavailableError, match="needs cuda-bindings"):
        api.import_cuda_runtime()


def test_the_bindings_of_jetpack_6_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace()

    def load(name: str) -> object:
        if name == "cuda.cudart":
            return module
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(api.importlib, "import_module", load)
    assert api.import_cuda_runtime() is module


@pytest.mark.parametrize(("devices", "reason"), [(None, "insufficientdriver"), (0, "there is none")])
def test_no_gpu_is_one_line(simulated: SimulatedCuda, devices: int | None, reason: str) -> None:
    simulated.devices = devices
    with pytest.raises(
        NoGpuError, match=f"can't reach an NVIDIA GPU: {reason}.*nvidia-smi.*onnxruntime"
    ) as caught:
        current_device()
    assert "\n" not in str(caught.value)


def test_bindings_that_raise_without_a_driver_are_one_line_too(
    simulated: SimulatedCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ``cuda.cudart`` of cuda-python 12.6 does."""

    def fail() -> None:
        raise RuntimeError("Failed to dlopen libcuda.so.1")

    monkeypatch.setattr(simulated, "cudaGetDeviceCount", fail)
    with pytest.raises(NoGpuError, match=r"NVIDIA GPU: Failed to dlopen libcuda.so.1;"):
        current_device()


def test_a_device_is_described(simulated: SimulatedCuda) -> None:
    simulated.integrated = True
    device = current_device()
    assert (device.name, device.sm, device.slug) == ("NVIDIA Test (8 GB)", "87", "nvidia-test-8-gb-sm87")
    assert device.integrated
    assert (device.driver, device.runtime, device.memory_bytes) == (13020, 12060, 1 << 30)


def test_a_broken_gpu_is_no_gpu(simulated: SimulatedCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    error = simulated.cudaError_t.cudaErrorInvalidValue
    monkeypatch.setattr(simulated, "cudaGetDeviceProperties", lambda device: (error, None))
    with pytest.raises(NoGpuError, match="reading the GPU's properties: invalidvalue"):
        current_device()


def test_errors_are_cleared_so_that_later_calls_stay_innocent(simulated: SimulatedCuda) -> None:
    with pytest.raises(EngineError, match="full"):
        cuda.check(simulated.cudaMalloc(1 << 40), "reserving")
    assert simulated.cudaGetLastError() == (simulated.cudaError_t.cudaSuccess,)


def test_importing_the_backend_imports_no_library() -> None:
    program = (
        "import sys, emorec_rt.engines.tensorrt\n"
        "heavy = {'cuda', 'tensorrt', 'onnxruntime', 'onnx', 'torch'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_every_cuda_name_is_in_the_real_module_and_in_the_simulated_one() -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    folder = Path(api.__file__).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py")]
    names = {
        node.attr
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr.startswith("cuda") and node.attr != "cuda_graphs"
    }
    names |= {"cudaMemcpyHostToDevice", "cudaMemcpyDeviceToHost"}  # taken by name
    holders = (real, real.cudaError_t, real.cudaDeviceAttr, real.cudaStreamCaptureMode, real.cudaMemcpyKind)
    assert len(names) > 30
    assert not [name for name in names if not any(hasattr(holder, name) for holder in holders)]
    own = {name for name in dir(SimulatedCuda) if name.startswith("cuda")}
    assert not [name for name in own if not hasattr(real, name)]


def test_the_real_bindings_answer_as_the_simulated_ones_do() -> None:
    """Without a driver they still give ``(error, *values)``; with one, so they do."""
    real = pytest.importorskip("cuda.bindings.runtime")
    error, count = real.cudaGetDeviceCount()
    assert isinstance(error, real.cudaError_t)
    assert (error == real.cudaError_t.cudaSuccess) == (count is not None)
    assert real.cudaGetErrorString(error)[1].decode()
    assert len(real.cudaGetLastError()) == 1
    assert len(real.cudaDriverGetVersion()) == len(real.cudaRuntimeGetVersion()) == 2
