"""OpenVINO beside ONNX Runtime on the default bundle's graphs, and from several threads."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest

from emorec_rt.bundle import open_bundle
from emorec_rt.bundle.manifest import GRAPH_NAMES, GraphName, Precision
from emorec_rt.engines import open_engine, ov
from random_feeds import random_feeds

pytest.importorskip("openvino", reason="openvino is not installed")

HANDS_OVER_AT_ONCE = """
import threading
import numpy as np
from emorec_rt.bundle import open_bundle
from emorec_rt.engines import open_engine

engine = open_engine(open_bundle(None), "vision", backend="openvino", threads=2)
frames = np.zeros((1, *engine.inputs[0].shape[1:]), np.uint8)
together = threading.Barrier(engine.lanes)

def run():
    together.wait()
    engine.run({"frames": frames})

threads = [threading.Thread(target=run) for _ in range(engine.lanes)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(threads), "ran")
"""


@pytest.mark.parametrize("graph", GRAPH_NAMES)
def test_fp32_is_computed_in_fp32(graph: GraphName) -> None:
    """Also where the CPU has bfloat16, which OpenVINO would take by itself."""
    bundle = open_bundle(None)
    openvino, reference = (
        open_engine(bundle, graph, backend=backend, precision="fp32")
        for backend in ("openvino", "onnxruntime")
    )
    feeds = random_feeds(openvino.inputs, batch=3)
    for name, expected in reference.run(feeds).items():
        np.testing.assert_allclose(openvino.run(feeds)[name], expected, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize(("dots", "precision"), [(True, "int8"), (None, "int8"), (False, "fp32")])
def test_int8_is_taken_where_the_cpu_has_dot_products(
    dots: bool | None, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ov, "has_int8_dot_products", lambda: dots)
    manifest = open_bundle(None).manifest
    assert ov.BACKEND.precision(msgspec.structs.replace(manifest, precision="int8")) == precision
    assert ov.BACKEND.precision(manifest) == "fp32"


@pytest.mark.parametrize(("precision", "lines"), [("int8", 1), ("fp32", 0)])
def test_int8_that_overflows_is_told_once(
    precision: Precision, lines: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(ov, "has_int8_dot_products", lambda: False)
    ov._tell_of_overflow.cache_clear()
    for graph in GRAPH_NAMES:
        open_engine(open_bundle(None), graph, backend="openvino", precision=precision)
    assert caplog.messages == [ov.OVERFLOW] * lines


def test_batches_at_once_give_what_one_gives() -> None:
    engine = open_engine(open_bundle(None), "audio", backend="openvino", precision="int8", threads=2)
    batches = [random_feeds(engine.inputs, batch=1, seed=seed) for seed in range(8)]
    alone = [engine.run(feeds)["tokens"] for feeds in batches]
    with ThreadPoolExecutor(4) as threads:
        together = [outputs["tokens"] for outputs in threads.map(engine.run, batches)]
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("share", [None, 0.0, 0.5, 0.99])
def test_a_compiled_graph_is_kept_and_a_damaged_one_is_made_anew(
    share: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(ov, "CACHED_BYTES", 0)
    fresh = open_engine(open_bundle(None), "vision", backend="openvino", precision="int8")
    (blob,) = tmp_path.rglob("*.blob")
    if share is not None:
        blob.chmod(0o600)
        os.truncate(blob, int(blob.stat().st_size * share))
    kept = open_engine(open_bundle(None), "vision", backend="openvino", precision="int8")
    feeds = random_feeds(fresh.inputs, batch=2)
    np.testing.assert_array_equal(kept.run(feeds)["embeddings"], fresh.run(feeds)["embeddings"])


def test_small_graphs_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    open_engine(open_bundle(None), "vision", backend="openvino")
    assert not any(tmp_path.iterdir())


def test_threads_whose_first_arrays_come_at_once_do_not_hang() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANDS_OVER_AT_ONCE], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (0, "2 ran\n"), done.stderr
