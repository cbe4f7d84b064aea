# ruff: noqa: ARG005 - doubles take what the real ones take
"""Which backend runs: by name, or the fastest that works here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from emorec_rt import engines
from emorec_rt.bundle import Bundle, open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, Precision
from emorec_rt.engines import choose_backend, default_precision, describe, open_engines
from emorec_rt.engines.base import Backend
from emorec_rt.errors import (
    BackendUnavailableError,
    EngineError,
    MismatchError,
    OutputError,
    UsageError,
)
from emorec_rt.recognizer.options import Options
from emorec_rt.recognizer.recognizer import Recognizer


@pytest.fixture
def bundle() -> Bundle:
    return open_bundle()


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, Backend]:
    """``fast``, ``named`` (by name only), ``slow``: engines are just their names."""
    made = {
        name: Backend(lambda *_, name=name, **__: name, lambda: None, "pip", automatic=name != "named")
        for name in ("fast", "named", "slow")
    }
    monkeypatch.setattr(engines, "BACKENDS", dict.fromkeys(made, "nowhere"))
    monkeypatch.setattr(engines, "describe", made.__getitem__)
    return made


def broken(error: Exception) -> Backend:
    def open_(path: Path, graph: Any, **_: Any) -> Any:
        raise error

    return Backend(open_, lambda: None, "pip")


def test_auto_takes_the_fastest_that_works(table: dict[str, Backend], bundle: Bundle) -> None:
    assert open_engines(bundle) == ("fast", dict.fromkeys(GRAPH_NAMES, "fast"))
    table["fast"] = replace(table["fast"], unavailable=lambda: "no GPU")
    assert choose_backend() == "slow"
    assert open_engines(bundle, ("audio",)) == ("slow", {"audio": "slow"})


def test_a_name_is_taken_at_its_word(table: dict[str, Backend], bundle: Bundle) -> None:
    assert open_engines(bundle, backend="named")[0] == "named"
    table["slow"] = broken(BackendUnavailableError("slow", "slow", "pip install slow"))
    with pytest.raises(BackendUnavailableError, match="pip install slow"):
        open_engines(bundle, backend="slow")


@pytest.mark.parametrize(
    "error",
    [
        EngineError("can't parse it"),
        MismatchError("computes something else"),
        OutputError("plans", "disk full"),
    ],
)
def test_auto_passes_over_what_fails_and_says_why(
    error: Exception, table: dict[str, Backend], bundle: Bundle, caplog: pytest.LogCaptureFixture
) -> None:
    table["fast"] = broken(error)
    assert open_engines(bundle)[0] == "slow"
    assert [record.message for record in caplog.records] == [f"slow instead, because: {error}"]


def test_the_last_error_is_told_where_all_fail(table: dict[str, Backend], bundle: Bundle) -> None:
    table.update(fast=broken(EngineError("first")), slow=broken(EngineError("last")))
    with pytest.raises(EngineError, match="last"):
        open_engines(bundle)


def test_unknown_names_and_empty_machines_are_one_line(table: dict[str, Backend], bundle: Bundle) -> None:
    with pytest.raises(UsageError, match="unknown backend foo; there are auto, fast, named, slow"):
        open_engines(bundle, backend="foo")
    for name in table:
        table[name] = replace(table[name], unavailable=lambda: "missing")
    with pytest.raises(BackendUnavailableError, match="an inference library"):
        open_engines(bundle)


def test_every_backend_answers_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    from emorec_rt.engines import ort_providers
    from emorec_torch import tensorrt as torch_tensorrt

    ort_providers.require.cache_clear()
    for module in (ort_providers, torch_tensorrt):
        monkeypatch.setattr(module, "no_gpu", lambda: "there is none")
    for name in ("onnxruntime-cuda", "onnxruntime-tensorrt", "torch-tensorrt"):
        reason = describe(name).unavailable()
        assert reason is not None
        assert "\n" not in reason
    assert describe("onnxruntime").unavailable() is None


def test_the_recogniser_says_what_runs() -> None:
    assert Recognizer(open_bundle(), Options(backend="onnxruntime", threads=1)).backend == "onnxruntime"


def test_who_builds_is_told_of_the_progress(table: dict[str, Backend], bundle: Bundle) -> None:
    told: list[str] = []

    def builds(path: Path, graph: Any, threads: int | None, progress: Any) -> Any:
        progress(path.name, 1, 1)
        return "built"

    table["fast"] = Backend(builds, lambda: None, "pip")
    _, made = open_engines(bundle, progress=lambda phase, done, steps: told.append(phase) is None)
    assert set(made.values()) == {"built"}
    assert len(told) == len(GRAPH_NAMES)


@pytest.mark.parametrize(
    ("own", "there", "backend", "expected"),
    [
        ("int8", ("fp32", "int8"), "onnxruntime", "int8"),
        ("int8", ("fp32", "int8"), "tensorrt", "int8"),
        ("int8", ("fp32", "fp16", "int8", "int8-fp16"), "tensorrt", "int8-fp16"),
        ("fp32", ("fp32", "fp16"), "tensorrt", "fp16"),
        ("fp32", ("fp32", "fp8"), "tensorrt", "fp32"),
        ("int8", ("fp32", "fp16", "int8"), "onnxruntime-cuda", "fp16"),
        ("int8", ("fp32", "int8"), "onnxruntime-cuda", "fp32"),
        ("int8", ("int8",), "onnxruntime-cuda", "int8"),
    ],
)
def test_a_gpu_takes_its_own_form_of_the_bundles_choice(
    own: Precision, there: tuple[Precision, ...], backend: str, expected: Precision, bundle: Bundle
) -> None:
    graphs = {
        name: msgspec.structs.replace(
            graph, variants=dict.fromkeys(there, next(iter(graph.variants.values())))
        )
        for name, graph in bundle.manifest.graphs.items()
    }
    manifest = msgspec.structs.replace(bundle.manifest, precision=own, graphs=graphs)
    assert default_precision(replace(bundle, manifest=manifest), backend) == expected
