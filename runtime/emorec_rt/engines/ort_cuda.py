"""ONNX Runtime's CUDA provider."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Final

from emorec_rt.bundle.manifest import Graph
from emorec_rt.engines.base import Backend, Progress, first_variant
from emorec_rt.engines.ort_gpu import OrtGpuEngine
from emorec_rt.engines.ort_providers import INSTALL, cuda, require, unavailable

NAME: Final = "onnxruntime-cuda"


def open_cuda(
    path: Path,
    graph: Graph,
    *,
    threads: int | None = None,
    progress: Progress | None = None,  # noqa: ARG001 - nothing is built
) -> OrtGpuEngine:
    """Run a graph of a bundle in the CUDA provider, in CUDA graphs where it can be captured; see ``Open``."""
    require(NAME)
    return OrtGpuEngine(path, graph.inputs, graph.outputs, cuda(), threads=threads)


BACKEND: Final = Backend(
    open=open_cuda,
    unavailable=partial(unavailable, NAME),
    install=INSTALL,
    # ONNX Runtime has no INT8 kernels for GPUs worth having.
    precision=partial(first_variant, wanted=("fp16", "fp32")),
)
