# ruff: noqa: ARG005 - doubles take what the real ones take
"""Which GPUs it runs on, what is missing, and the runtime cache; the library itself is not needed."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from emorec_rt.engines import tensorrt_rtx
from emorec_rt.engines.tensorrt.cuda import Device
from emorec_rt.engines.tensorrt_rtx import library
from emorec_rt.engines.tensorrt_rtx.library import RtxContexts
from emorec_rt.engines.tensorrt_rtx.runtime_cache import CacheFile
from emorec_rt.engines.tensorrt_rtx.targets import runs_on
from emorec_rt.errors import BackendUnavailableError


@pytest.mark.parametrize(
    ("capability", "runs"),
    [
        ((7, 5), False),  # Turing
        ((8, 0), True),
        ((8, 6), True),
        ((8, 7), False),  # Orin
        ((8, 9), True),
        ((9, 0), False),  # Hopper
        ((11, 0), False),  # Thor
        ((12, 0), True),
        ((12, 1), True),
        ((13, 0), True),
    ],
)
def test_generations(capability: tuple[int, int], runs: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_on(capability) == runs
    device = Device("NVIDIA Test", capability, False, 1 << 34, 13000, 13000)
    monkeypatch.setattr(tensorrt_rtx, "cannot_build", lambda: None)
    monkeypatch.setattr(tensorrt_rtx, "no_gpu", lambda: None)
    monkeypatch.setattr(tensorrt_rtx, "current_device", lambda: device)
    reason = tensorrt_rtx.unavailable()
    assert (reason is None) == runs
    assert (
        runs
        or "runs on GPUs of compute capability 8.0, 8.6, 8.9 and from 12.0 on; NVIDIA Test has" in str(reason)
    )


def test_what_is_missing_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorrt_rtx, "find_spec", lambda name: None)
    for reason in (tensorrt_rtx.unavailable(), tensorrt_rtx.cannot_build()):
        assert reason == (
            "backend tensorrt-rtx needs tensorrt_rtx, which is not installed; "
            "run: pip install 'emorec[tensorrt-rtx]'"
        )


@pytest.mark.parametrize("version", ["1.3.2", "0.9"])
def test_an_old_release_is_refused(version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    library.import_rtx.cache_clear()
    module = SimpleNamespace(__version__=version)
    monkeypatch.setattr(library.importlib, "import_module", lambda name: module)
    with pytest.raises(BackendUnavailableError, match=r"RTX 1.4 or later \(found"):
        library.import_rtx()
    library.import_rtx.cache_clear()


class _Cache:
    """A runtime cache that takes what ``fits``, and holds what was compiled."""

    fits = b"of this machine"

    def __init__(self) -> None:
        self.held = b""

    def deserialize(self, data: bytes) -> bool:
        self.held = data if data == self.fits else b""
        return bool(self.held)

    def serialize(self) -> bytes:
        return self.held


@pytest.fixture
def contexts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Make contexts on doubles; gives the configurations that contexts were made with."""
    made: list[Any] = []
    rtx = SimpleNamespace(
        CudaGraphStrategy=SimpleNamespace(WHOLE_GRAPH_CAPTURE="whole"),
        DynamicShapesKernelSpecializationStrategy=SimpleNamespace(EAGER="eager", LAZY="lazy"),
    )
    monkeypatch.setattr(library, "import_rtx", lambda: rtx)

    def config() -> Any:
        found = SimpleNamespace(create_runtime_cache=_Cache)
        found.set_runtime_cache = lambda cache: setattr(found, "cache", cache)
        return found

    engine = SimpleNamespace(
        create_runtime_config=config,
        create_execution_context=lambda runtime_config: made.append(runtime_config),
    )

    def make(*, eager: bool) -> tuple[RtxContexts, Any]:
        contexts = RtxContexts(engine, CacheFile(tmp_path / "gpu" / "plan.cache"), eager=eager)
        contexts.make()
        return contexts, made[-1]

    return make


def test_contexts_capture_the_whole_graph_and_compile_when_they_are_told(contexts: Any) -> None:
    for eager, strategy in ((True, "eager"), (False, "lazy")):
        _, config = contexts(eager=eager)
        assert config.cuda_graph_strategy == "whole"
        assert config.dynamic_shapes_kernel_specialization_strategy == strategy


def test_what_was_compiled_is_there_at_the_next_start(contexts: Any, tmp_path: Path) -> None:
    first, config = contexts(eager=False)
    config.cache.held = _Cache.fits
    first.settled()
    assert (tmp_path / "gpu" / "plan.cache").read_bytes() == _Cache.fits
    _, again = contexts(eager=False)
    assert again.cache.held == _Cache.fits


def test_a_cache_of_another_machine_is_written_anew(contexts: Any, tmp_path: Path) -> None:
    path = tmp_path / "gpu" / "plan.cache"
    path.parent.mkdir()
    path.write_bytes(b"of another driver")
    first, config = contexts(eager=False)
    assert config.cache.held == b""
    config.cache.held = _Cache.fits
    first.settled()
    assert path.read_bytes() == _Cache.fits


def test_a_disk_that_is_full_costs_one_line(
    contexts: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "gpu").write_text("a file, so that no folder can be made")
    first, config = contexts(eager=False)
    for held in (b"one", b"two"):
        config.cache.held = held
        first.settled()
    (record,) = caplog.records
    assert record.message.endswith("kernels are compiled again at the next start")
