"""ONNX Runtime's TensorRT provider. By name only: it builds for minutes, and nothing compares the result."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from emorec_rt.bundle.manifest import Graph
from emorec_rt.engines.base import Backend, Progress
from emorec_rt.engines.ort import import_onnxruntime
from emorec_rt.engines.ort_gpu import OrtGpuEngine
from emorec_rt.engines.ort_providers import INSTALL, require, tensorrt, unavailable
from emorec_rt.engines.tensorrt.opening import Source
from emorec_rt.engines.tensorrt.options import DEFAULTS
from emorec_rt.engines.tensorrt.plans import FOLDER, PlanFile, first_writable
from emorec_rt.machine.seal import user_cache

NAME: Final = "onnxruntime-tensorrt"


def open_tensorrt_provider(
    path: Path,
    graph: Graph,
    *,
    threads: int | None = None,
    progress: Progress | None = None,  # noqa: ARG001 - the provider tells nothing
) -> OrtGpuEngine:
    """Run a graph of a bundle in the TensorRT provider; the first time it builds for minutes. See ``Open``.

    Its engines are kept beside the bundle, or in the user's cache where that can't be written to. Nothing
    compares them with the graph as they are built: ``emorec-rt build --backend onnxruntime-tensorrt`` does.

    Raises:
        OutputError: No folder takes files.
    """
    require(NAME)
    source = Source.of(path, graph)
    # The provider names its engines after the graph's structure alone, so weights and release are told apart
    # by the folder.
    sha256 = graph.variants[source.variant].sha256
    folder = Path(FOLDER) / f"onnxruntime{import_onnxruntime().__version__}-tensorrt" / sha256[:16]
    roots = (path.parent, user_cache())
    cache = first_writable(tuple(PlanFile(root / folder / path.stem) for root in roots))
    accelerator = tensorrt(graph.inputs, source.variant, DEFAULTS.batch_for(graph), cache.path.parent)
    return OrtGpuEngine(path, graph.inputs, graph.outputs, accelerator, threads=threads)


BACKEND: Final = Backend(
    open=open_tensorrt_provider,
    unavailable=partial(unavailable, NAME),
    install=f"{INSTALL} and TensorRT 10",
    automatic=False,
)
