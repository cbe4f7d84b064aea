"""``build_engine.py --backend``: asked before the build, prepared after it."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from backends import change
from emorec_export import backends, torch_programs
from emorec_export.backends import CHOICES, NotPreparedError, precisions, prepare_all, select
from emorec_rt.bundle import DEFAULT_FOLDER, open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES
from emorec_rt.engines.compare import Verification
from emorec_rt.engines.tensorrt import BuildOptions
from emorec_rt.errors import BackendUnavailableError

NO_GPU = "backend tensorrt can't reach an NVIDIA GPU: there is none"


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("tensorrt", "tensorrt-rtx", "torch-tensorrt"):
        change(monkeypatch, name, unavailable=lambda: NO_GPU, cannot_build=None)


@pytest.mark.usefixtures("no_gpu")
def test_a_backend_by_name_must_work() -> None:
    assert select(["openvino", "onnxruntime", "openvino"]).usable == ("openvino", "onnxruntime")
    assert select([]).usable == ()
    with pytest.raises(BackendUnavailableError) as caught:
        select(["onnxruntime", "tensorrt"])
    assert str(caught.value) == NO_GPU


@pytest.mark.usefixtures("no_gpu")
def test_all_takes_what_works_and_ends_in_an_error_about_the_rest(tmp_path: Path) -> None:
    bundle = open_bundle(shutil.copytree(DEFAULT_FOLDER, tmp_path / "bundle"))
    lines: list[str] = []
    with pytest.raises(NotPreparedError, match=f"bundle is complete, but: {NO_GPU}; {NO_GPU}; {NO_GPU}"):
        prepare_all(SimpleNamespace(), bundle, select(["all"]), lines.append)  # type: ignore[arg-type]
    assert precisions(bundle) == ["fp32", "int8"]
    ready = [line.split() for line in lines if not line.startswith("warning: ")]
    assert len(ready) == 2 * 2 * len(GRAPH_NAMES)
    assert {words[0] for words in ready} == {"onnxruntime", "openvino"}
    assert all(float(words[4]) > 0.99 and float(words[5]) > 0.0 for words in ready)
    assert all("is no faster than fp32 with" in line for line in lines if line.startswith("warning: "))


def test_gpu_backends_get_modules_and_options(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHOICES:
        change(monkeypatch, name, unavailable=lambda: None)
    bundle, options = open_bundle(), BuildOptions(refit=True)
    calls: list[tuple[Any, ...]] = []

    def prepare(*arguments: Any, **how: Any) -> list[Any]:
        calls.append((arguments[1], arguments[2], how["options"]))
        return []

    def compile_program(graph: str, module: Any, _: Any, *, options: Any) -> Any:
        calls.append((graph, module, options))
        return bundle.folder / "plans" / "x" / f"{graph}.pt2", Verification(0.9999, 0.0, 1)

    monkeypatch.setattr(backends, "prepare", prepare)
    monkeypatch.setattr(torch_programs, "compile_program", compile_program)
    checkpoint: Any = SimpleNamespace(vision="V", audio="A", fusion="F")
    lines: list[str] = []
    prepare_all(checkpoint, bundle, select(["tensorrt", "torch-tensorrt"]), lines.append, options=options)
    assert calls == [
        ("tensorrt", ["fp32", "int8"], options),
        ("vision", "V", options),
        ("audio", "A", options),
        ("fusion", "F", options),
    ]
    assert lines[0].split() == ["torch-tensorrt", "vision", "fp32", "cosine", "0.99990", "plans/x/vision.pt2"]
