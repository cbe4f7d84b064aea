"""``emorec-rt build``: plans made and compared, libraries checked, options, progress."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from backends import add
from emorec_rt.bundle import DEFAULT_FOLDER, open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision
from emorec_rt.cli import build_progress, cli
from emorec_rt.cli.build_progress import BuildProgress
from emorec_rt.cli.plan_options import build_options
from emorec_rt.engines import preparing
from emorec_rt.engines.base import Backend
from emorec_rt.engines.ort import OrtEngine
from emorec_rt.engines.preparing import Prepared, no_faster
from emorec_rt.engines.tensorrt import BatchRange, BuildOptions, ensure_plan, library, opening
from emorec_rt.engines.tensorrt.builder import Built
from emorec_rt.engines.tensorrt.cuda import Device
from emorec_rt.engines.tensorrt.opening import default_options
from emorec_rt.errors import EmorecError, MismatchError

NOTHING: dict[str, Any] = {
    "max_batch": None,
    "workspace_mib": None,
    "optimization_level": None,
    "targets": None,
    "refit": False,
    "version_compatible": False,
}
GPU = Device(
    name="NVIDIA Test",
    compute_capability=(9, 0),
    integrated=False,
    memory_bytes=1 << 30,
    driver=13000,
    runtime=13000,
)


def emorec(*arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, [*map(str, arguments)])


@pytest.mark.parametrize("backend", ["onnxruntime", "openvino"])
def test_libraries_that_take_the_graphs_are_compared(backend: str) -> None:
    pytest.importorskip(backend)
    done = emorec("build", "--backend", backend, "--precision", "fp32", "--precision", "int8")
    assert done.exit_code == 0, done.output
    files = [f"{graph}.{precision}.onnx" for precision in ("fp32", "int8") for graph in GRAPH_NAMES]
    assert done.stdout.splitlines() == [str(DEFAULT_FOLDER / file) for file in files]
    assert done.stderr.splitlines()[0] == f"backend {backend}"
    assert done.stderr.count("cosine with ONNX Runtime") == 6


def test_a_library_that_computes_something_else_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(path: Path, graph: Any) -> Any:
        real = OrtEngine(path, graph.inputs, graph.outputs, threads=1)

        def run(feeds: Any) -> dict[str, np.ndarray]:
            return {name: array[..., ::-1] for name, array in real.run(feeds).items()}

        return SimpleNamespace(inputs=graph.inputs, outputs=graph.outputs, run=run)

    add(monkeypatch, "wrong", Backend(wrong, lambda: None, "pip"))
    with pytest.raises(MismatchError, match=r"vision\.fp32\.onnx in wrong: its outputs differ"):
        list(preparing.prepare(open_bundle(), "wrong", ["fp32"]))


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[BuildOptions]:
    """A machine with TensorRT whose plans are copies of the graphs; gives the options of each build."""
    builds: list[BuildOptions] = []

    def build_plan(
        onnx_file: Path, inputs: Any, batch: BatchRange, options: BuildOptions, *, progress: Any, **_: Any
    ) -> Built:
        builds.append(options)
        assert progress("Building", 0, 2)
        assert progress("Building > Tactics", 1, 9)
        return Built(onnx_file.read_bytes())

    def engine(plan: Path, inputs: Any, outputs: Any, **_: Any) -> Any:
        session = OrtEngine(plan, inputs, outputs, threads=1)
        return SimpleNamespace(inputs=inputs, outputs=outputs, run=session.run, max_batch=2, layers=list)

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(library, "import_tensorrt", lambda: SimpleNamespace(__version__="10.3.0"))
    monkeypatch.setattr(library, "current_device", lambda: GPU)
    monkeypatch.setattr(opening, "build_plan", build_plan)
    monkeypatch.setattr(opening, "TensorRTEngine", engine)
    return builds


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    import shutil

    return Path(shutil.copytree(DEFAULT_FOLDER, tmp_path / "bundle"))


def test_plans_are_built_once_beside_the_bundle(gpu: list[BuildOptions], copied: Path) -> None:
    done = emorec("build", copied, "--backend", "tensorrt")
    assert done.exit_code == 0, done.output
    folder = copied / "plans" / "nvidia-test-sm90-trt10.3.0"
    assert done.stdout.splitlines() == [str(folder / f"{graph}.fp32.plan") for graph in GRAPH_NAMES]
    assert done.stderr.count("cosine with ONNX Runtime 1.00000") == 3
    assert done.stderr.count("  Building\n") == 3, "not a terminal: one line a phase"
    assert gpu == [BuildOptions()] * 3
    again = emorec("build", copied, "--backend", "tensorrt")
    assert (again.stdout, len(gpu)) == (done.stdout, 3)
    emorec("build", copied, "--backend", "tensorrt", "--rebuild")
    assert len(gpu) == 6


def test_options_reach_the_build_and_the_runtime_takes_the_plan(
    gpu: list[BuildOptions], copied: Path
) -> None:
    done = emorec(
        "build", copied, "--backend", "tensorrt", "--max-batch", 8, "--workspace", 256,
        "--optimization-level", 1, "--refit", "--version-compatible",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    expected = BuildOptions(
        batch=BatchRange(1, 8, 8),
        windows=BatchRange(1, 2, 2),
        workspace_bytes=256 << 20,
        optimization_level=1,
        refit=True,
        version_compatible=True,
    )
    assert gpu == [expected] * 3
    bundle = open_bundle(copied)
    ensure_plan(bundle.graph_file("vision", "fp32"), bundle.manifest.graphs["vision"])
    assert len(gpu) == 3


def test_no_option_means_any_plan() -> None:
    assert build_options(**NOTHING) is None
    assert build_options(**{**NOTHING, "max_batch": 64}) == BuildOptions(
        batch=BatchRange(1, 16, 64), windows=BatchRange(1, 16, 16)
    )


def prepared(graph: GraphName, precision: Precision, latency: float | None, batch: int = 16) -> Prepared:
    return Prepared(graph, precision, Path("x"), 1.0, latency, batch)


def test_eight_bits_that_do_not_pay_are_told() -> None:
    made = [
        prepared("vision", "fp16", 4.0),
        prepared("vision", "int8-fp16", 4.5),
        prepared("audio", "fp16", 4.0),
        prepared("audio", "int8-fp16", 3.0),
        prepared("fusion", "fp16", 1.0, batch=8),
        prepared("fusion", "int8-fp16", 2.0, batch=4),
        prepared("fusion", "fp8", None),
    ]
    assert list(no_faster(made, "tensorrt")) == [
        "vision int8-fp16 is no faster than fp16 with tensorrt here: 4.50 against 4.00 ms for 16"
    ]


def test_the_warning_reaches_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [prepared("vision", "fp32", 1.0), prepared("vision", "int8", 2.0)]
    monkeypatch.setattr(preparing, "prepare", lambda *_, **__: iter(made))
    done = emorec("build", "--backend", "onnxruntime")
    assert "vision fp32: cosine with ONNX Runtime 1.00000, 1.00 ms for 16" in done.stderr
    assert "warning: vision int8 is no faster than fp32 with onnxruntime here" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["--backend", "nope"], "unknown backend nope"),
        (["--precision", "fp17"], "no fp17 variant"),
        (["nowhere"], "nowhere"),
        (["--backend", "torch-tensorrt"], "backend torch-tensorrt"),
        (["--backend", "onnxruntime-cuda"], "backend onnxruntime-cuda"),
    ],
)
def test_wrong_calls_are_one_error(arguments: list[str], part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from emorec_rt.engines import ort_providers
    from emorec_torch import tensorrt as torch_tensorrt

    for module in (ort_providers, torch_tensorrt):
        monkeypatch.setattr(module, "no_gpu", lambda: "there is none")
    done = emorec("build", *arguments)
    assert isinstance(done.exception, EmorecError)
    assert part in str(done.exception)


def test_a_terminal_sees_one_line_that_is_redrawn(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter([1.0, 1.01, 2.0])
    monkeypatch.setattr(build_progress.time, "monotonic", lambda: next(clock))
    progress = BuildProgress(redraw=True)
    for step in range(3):
        assert progress("Building", step, 3)
    progress.say("done")
    lines = capsys.readouterr().err
    assert lines.count("\r") == 4
    assert "Building 0/3" in lines
    assert "Building 1/3" not in lines, "ten times a second is enough"
    assert "Building 2/3" in lines
    assert lines.endswith("\rdone\n")


def test_on_a_jetson_options_are_laid_over_its_memory_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    orin = replace(GPU, name="Orin", integrated=True, memory_bytes=7 << 30)
    monkeypatch.setattr("emorec_rt.engines.tensorrt.api.on_jetson", lambda: True)
    monkeypatch.setattr("emorec_rt.engines.tensorrt.cuda.current_device", lambda: orin)
    plan = default_options(orin)
    assert plan != BuildOptions()
    asked = build_options(**{**NOTHING, "optimization_level": 5})
    assert asked == msgspec.structs.replace(plan, optimization_level=5)
    assert build_options(**NOTHING) is None
