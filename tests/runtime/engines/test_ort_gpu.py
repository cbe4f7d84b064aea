# ruff: noqa: ARG005 - doubles take what the real ones take
"""I/O binding, batch sizes and providers: the GPU's code in ONNX Runtime's CPU provider and host memory."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from emorec_rt.bundle.manifest import Graph
from emorec_rt.cli import cli
from emorec_rt.engines import describe, ort_cuda, ort_gpu, ort_providers, ort_tensorrt
from emorec_rt.engines.ort import CPU, OrtEngine
from emorec_rt.engines.ort_cuda import open_cuda
from emorec_rt.engines.ort_gpu import KEPT_BINDINGS, OrtGpuEngine
from emorec_rt.engines.ort_providers import Accelerator, cuda, tensorrt
from emorec_rt.engines.tensorrt.options import BatchRange
from emorec_rt.errors import BackendUnavailableError, EngineError, NoGpuError, OutOfMemoryError

HOST = Accelerator(CPU, others=(), device="cpu")


def frames(batch: int, seed: int = 0) -> dict[str, np.ndarray]:
    return {"frames": np.random.default_rng(seed).integers(0, 256, (batch, 3), np.uint8)}


def engine(double: tuple[Path, Graph], accelerator: Accelerator = HOST) -> OrtGpuEngine:
    path, graph = double
    return OrtGpuEngine(path, graph.inputs, graph.outputs, accelerator, threads=1)


def test_any_order_of_batches_gives_what_the_plain_session_gives(double: tuple[Path, Graph]) -> None:
    bound = engine(double)
    plain = OrtEngine(double[0], double[1].inputs, double[1].outputs, threads=1)
    for seed, batch in enumerate([4, 4, 1, 0, 7, 4, 2, 3, 5, 6, 4, 1, 4]):
        feeds = frames(batch, seed)
        np.testing.assert_array_equal(bound.run(feeds)["embeddings"], plain.run(feeds)["embeddings"])
    assert len(bound._bindings) == KEPT_BINDINGS


def test_results_belong_to_the_caller(double: tuple[Path, Graph]) -> None:
    bound = engine(double)
    first = bound.run(frames(2, 1))["embeddings"]
    kept = first.copy()
    bound.run(frames(2, 2))
    np.testing.assert_array_equal(first, kept)


def test_strided_input_is_taken(double: tuple[Path, Graph]) -> None:
    feeds = {"frames": np.arange(24, dtype=np.uint8).reshape(4, 6)[:, ::2]}
    np.testing.assert_array_equal(engine(double).run(feeds)["embeddings"], feeds["frames"] * 2.0)


def test_a_batch_size_is_captured_when_it_comes_again(double: tuple[Path, Graph]) -> None:
    bound = engine(double, Accelerator(CPU, others=(), device="cpu", cuda_graphs=2))

    def captured() -> list[int]:
        return sorted(size for size, binding in bound._bindings.items() if binding.graph)

    for batch, expected in ((4, []), (3, []), (4, [4]), (4, [4]), (3, [3, 4]), (5, [3, 4]), (5, [3, 4])):
        bound.run(frames(batch))
        assert captured() == expected
    for batch in range(6, 12):
        bound.run(frames(batch))
    assert captured() == [3, 4], "a captured graph's buffers are never given away"
    ids = [bound._bindings[size]._options.get_run_config_entry("gpu_graph_id") for size in (4, 3, 11)]
    assert ids == ["1", "2", "-1"]


def test_a_full_gpu_is_told_apart_and_its_buffers_are_given_back(
    double: tuple[Path, Graph], monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = engine(double)
    real = ort_gpu._Binding
    monkeypatch.setattr(ort_gpu, "_Binding", lambda *arguments: _full(real, *arguments))
    with pytest.raises(OutOfMemoryError, match="batch of 8: the memory is full"):
        bound.run(frames(8))
    assert list(bound._bindings) == []
    assert bound.run(frames(3))["embeddings"].shape == (3, 3)


def _full(real: Any, *arguments: Any) -> Any:
    binding = real(*arguments)
    if binding.batch > 3:

        def run(feeds: Any) -> Any:
            raise RuntimeError("CUDA failure 2: out of memory ; GPU=0")

        binding.run = run
    return binding


def test_a_graph_that_can_not_be_captured_runs_plainly(
    double: tuple[Path, Graph], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    opened: list[Any] = []
    real = ort_gpu.open_session

    def open_session(*arguments: Any, providers: Any, **options: Any) -> Any:
        opened.append(providers[0])
        if "enable_cuda_graph" in providers[0][1]:
            raise EngineError("This session cannot use the graph capture feature")
        return real(*arguments, **options)

    monkeypatch.setattr(ort_gpu, "open_session", open_session)
    wanted = Accelerator((CPU[0], {"enable_cuda_graph": "1", "other": "2"}), (), "cpu", cuda_graphs=2)
    bound = engine(double, wanted)
    assert [options for _, options in opened] == [{"enable_cuda_graph": "1", "other": "2"}, {"other": "2"}]
    assert "running without CUDA graphs: This session cannot" in caplog.text
    for _ in range(3):
        bound.run(frames(2))
    assert not any(binding.graph for binding in bound._bindings.values())


def test_a_provider_that_is_left_out_silently_is_an_error(double: tuple[Path, Graph]) -> None:
    """This onnxruntime has no CUDA provider and warns; a GPU build without cuDNN says nothing at all."""
    with (
        pytest.warns(UserWarning, match="CUDAExecutionProvider"),
        pytest.raises(BackendUnavailableError, match="a working CUDAExecutionProvider"),
    ):
        engine(double, Accelerator(("CUDAExecutionProvider", {}), others=(CPU,)))


def test_cuda_options() -> None:
    name, options = cuda().provider
    assert (name, options["enable_cuda_graph"]) == ("CUDAExecutionProvider", "1")
    assert all(isinstance(value, str) for value in options.values())
    assert "enable_cuda_graph" not in cuda(graphs=False).provider[1]
    assert cuda(graphs=False).cuda_graphs == 0


@pytest.mark.parametrize(
    ("precision", "flags"),
    [("fp32", ("0", "0")), ("fp16", ("1", "0")), ("int8", ("0", "1")), ("int8-fp16", ("1", "1"))],
)
def test_tensorrt_options(
    double: tuple[Path, Graph], tmp_path: Path, precision: Any, flags: tuple[str, str]
) -> None:
    made = tensorrt(double[1].inputs, precision, BatchRange(1, 4, 8), tmp_path, workspace_bytes=1 << 20)
    name, options = made.provider
    assert name == "TensorrtExecutionProvider"
    assert (options["trt_fp16_enable"], options["trt_int8_enable"]) == flags
    shapes = [options[f"trt_profile_{size}_shapes"] for size in ("min", "opt", "max")]
    assert shapes == ["frames:1x3", "frames:4x3", "frames:8x3"]
    assert options["trt_engine_cache_path"] == str(tmp_path)
    assert options["trt_max_workspace_size"] == "1048576"
    assert [name for name, _ in made.others] == ["CUDAExecutionProvider", "CPUExecutionProvider"]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A GPU machine whose onnxruntime has ``providers``, of which ``broken`` don't find their libraries."""
    ort_providers.require.cache_clear()
    state = SimpleNamespace(
        gpu=None, providers=["TensorrtExecutionProvider", "CUDAExecutionProvider"], broken=[], printed=[]
    )

    def session(model: bytes, providers: list[str], enable_fallback: int) -> SimpleNamespace:
        onnx.checker.check_model(onnx.load_from_string(model), full_check=True)
        assert enable_fallback == 0
        return SimpleNamespace(get_providers=lambda: [name for name in providers if name not in state.broken])

    module = SimpleNamespace(
        get_available_providers=lambda: state.providers,
        InferenceSession=session,
        preload_dlls=lambda: print("Failed to load libcudnn.so.9"),
    )
    monkeypatch.setattr(ort_providers, "no_gpu", lambda: state.gpu)
    monkeypatch.setattr(ort_providers, "import_onnxruntime", lambda: module)
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace())
    yield state
    ort_providers.require.cache_clear()


@pytest.mark.parametrize("backend", ["onnxruntime-cuda", "onnxruntime-tensorrt"])
def test_a_whole_machine_can(machine: SimpleNamespace, backend: str, capsys: Any) -> None:
    assert describe(backend).unavailable() is None
    assert capsys.readouterr().out == "", "what onnxruntime prints while it looks for libraries is kept back"


@pytest.mark.parametrize(
    ("backend", "change", "reason"),
    [
        ("onnxruntime-cuda", {"gpu": "there is no NVIDIA driver"}, "no NVIDIA driver; nvidia-smi"),
        ("onnxruntime-cuda", {"providers": []}, "needs an onnxruntime with CUDAExecutionProvider"),
        ("onnxruntime-cuda", {"broken": ["CUDAExecutionProvider"]}, "needs CUDA's and cuDNN's libraries"),
        ("onnxruntime-tensorrt", {"broken": ["TensorrtExecutionProvider"]}, "needs libnvinfer.so.10"),
    ],
)
def test_what_is_missing_is_one_line(
    machine: SimpleNamespace, backend: str, change: dict[str, Any], reason: str
) -> None:
    vars(machine).update(change)
    found = describe(backend).unavailable()
    assert found is not None
    assert found.startswith(f"backend {backend} ")
    assert reason in found
    assert "\n" not in found


def test_two_packages_of_one_module_are_told(
    machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort_providers, "distribution", lambda name: name)
    machine.providers = []
    found = describe("onnxruntime-cuda").unavailable()
    assert "onnxruntime and onnxruntime-gpu are installed over each other" in str(found)
    done = CliRunner().invoke(cli, ["doctor"])
    assert "onnxruntime twice" in done.output


def test_the_probe_runs() -> None:
    import onnxruntime

    session = onnxruntime.InferenceSession(ort_providers._PROBE, providers=[CPU[0]])
    (result,) = session.run(None, {"x": np.array([3.0], np.float32)})
    assert result.tolist() == [6.0]


def test_without_a_gpu_nothing_is_tried(
    double: tuple[Path, Graph], machine: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine.gpu = "there is none"
    monkeypatch.setattr(ort_providers, "import_onnxruntime", lambda: pytest.fail("imported"))
    with pytest.raises(NoGpuError, match="backend onnxruntime-cuda can't reach an NVIDIA GPU: there is none"):
        open_cuda(*double)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A machine where everything works; gives the providers that sessions are opened with."""
    opened: list[Any] = []
    real = ort_gpu.open_session

    def open_session(*arguments: Any, providers: Any, threads: int | None) -> Any:
        opened.append(providers)
        session = real(*arguments, threads=threads)
        names = [name for name, _ in providers]
        return SimpleNamespace(
            get_providers=lambda: names,
            io_binding=session.io_binding,
            run_with_iobinding=session.run_with_iobinding,
        )

    monkeypatch.setattr(ort_gpu, "open_session", open_session)
    for module in (ort_cuda, ort_tensorrt):
        monkeypatch.setattr(module, "require", lambda backend: None)
    return opened


def test_the_cuda_backend_opens_a_graph(double: tuple[Path, Graph], sessions: list[Any]) -> None:
    describe("onnxruntime-cuda").open(*double, threads=1)
    ((first, second),) = sessions
    assert (first[0], first[1]["enable_cuda_graph"]) == ("CUDAExecutionProvider", "1")
    assert second == CPU


@pytest.mark.parametrize("writable", [True, False])
def test_the_tensorrt_provider_keeps_its_engines_beside_the_bundle(
    double: tuple[Path, Graph],
    sessions: list[Any],
    writable: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "bundle" / double[0].name
    path.parent.mkdir()
    path.write_bytes(double[0].read_bytes())
    if not writable:
        (path.parent / "plans").touch()
    describe("onnxruntime-tensorrt").open(path, double[1], threads=1)
    ((first, *others),) = sessions
    root = path.parent if writable else tmp_path / "cache" / "emorec"
    cache = Path(first[1]["trt_engine_cache_path"])
    assert cache.is_dir()
    assert cache.parent.parent == root / "plans"
    assert cache.name == double[1].variants["fp32"].sha256[:16], "other weights are never taken for these"
    assert first[1]["trt_profile_max_shapes"] == "frames:32x3"
    assert [name for name, _ in others] == ["CUDAExecutionProvider", "CPUExecutionProvider"]
