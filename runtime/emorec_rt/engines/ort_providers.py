"""Execution providers of ONNX Runtime for NVIDIA GPUs: whether they work here, and their options."""

from __future__ import annotations

import contextlib
import importlib
import io
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any, Final

from emorec_rt.bundle.manifest import Precision, TensorSpec
from emorec_rt.constants import CUDA_GRAPHS
from emorec_rt.engines.ort import CPU, Provider, error_classes, import_onnxruntime
from emorec_rt.engines.tensorrt.options import BatchRange
from emorec_rt.errors import BackendUnavailableError, NoGpuError
from emorec_rt.machine.nvidia import no_gpu

CUDA_PROVIDER: Final = "CUDAExecutionProvider"
TENSORRT_PROVIDER: Final = "TensorrtExecutionProvider"
PROVIDERS: Final = {"onnxruntime-cuda": CUDA_PROVIDER, "onnxruntime-tensorrt": TENSORRT_PROVIDER}
"""By backend."""

INSTALL: Final = "pip uninstall -y onnxruntime && pip install 'emorec[cuda]'"
OVER_EACH_OTHER: Final = "onnxruntime and onnxruntime-gpu are installed over each other"
_PROBE: Final = bytes.fromhex(
    "08083a350a0e0a01780a017812017922034164641201675a0f0a0178120a0a08080112040a020801620f0a0179120a0a0808011204"
    "0a02080142040a001011"
)
"""An ONNX model of one node, y = x + x: a provider that runs it has found its libraries."""


@dataclass(frozen=True, slots=True)
class Accelerator:
    """Provider that runs the nodes, and the home of its tensors.

    Attributes:
        provider: The first choice.
        others: What runs the nodes that it doesn't take.
        device: ONNX Runtime's name of the memory.
        cuda_graphs: Batch sizes to capture; 0 runs without.
    """

    provider: Provider
    others: tuple[Provider, ...] = (CPU,)
    device: str = "cuda"
    cuda_graphs: int = 0

    def without_graphs(self) -> Accelerator:
        """The same, running plainly."""
        name, options = self.provider
        plain = {key: value for key, value in options.items() if key != "enable_cuda_graph"}
        return Accelerator((name, plain), self.others, self.device)


def cuda(*, graphs: bool = True) -> Accelerator:
    """The CUDA provider.

    Args:
        graphs: Capture CUDA graphs. A graph with nodes that only the CPU runs can't be captured; it runs
            plainly then.
    """
    options = {
        # The default searches exhaustively for every new batch size.
        "cudnn_conv_algo_search": "HEURISTIC",
        # The default doubles what it reserves at each step, which a GPU that others use can't spare.
        "arena_extend_strategy": "kSameAsRequested",
    }
    if graphs:
        options["enable_cuda_graph"] = "1"
    return Accelerator((CUDA_PROVIDER, options), cuda_graphs=CUDA_GRAPHS if graphs else 0)


def tensorrt(
    inputs: tuple[TensorSpec, ...],
    precision: Precision,
    batch: BatchRange,
    cache: Path,
    *,
    workspace_bytes: int | None = None,
) -> Accelerator:
    """The TensorRT provider, with its engines and timings kept in a folder.

    Args:
        inputs: The graph's inputs, for the profile of batch sizes.
        precision: The graph's; the provider's networks are weakly typed and are told so.
        batch: Smallest, best and largest batch: one profile, so that it builds once.
        cache: Where engines are kept.
        workspace_bytes: Most scratch memory a kernel may take; ``None`` leaves the provider's default.
    """
    options = {
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(cache),
        "trt_timing_cache_enable": "1",
        "trt_timing_cache_path": str(cache),
        "trt_fp16_enable": str(int(precision in {"fp16", "int8-fp16"})),
        "trt_int8_enable": str(int(precision in {"int8", "int8-fp16"})),
    }
    for size, shapes in zip(("min", "opt", "max"), _profiles(inputs, batch), strict=True):
        options[f"trt_profile_{size}_shapes"] = shapes
    if workspace_bytes:
        options["trt_max_workspace_size"] = str(workspace_bytes)
    plain = cuda(graphs=False).provider
    return Accelerator((TENSORRT_PROVIDER, options), others=(plain, CPU))


def _profiles(inputs: tuple[TensorSpec, ...], batch: BatchRange) -> list[str]:
    """As ``frames:1x224x224x3``, comma separated, for the smallest, best and largest batch."""
    shapes = [batch.shapes(spec) for spec in inputs]
    return [
        ",".join(
            f"{spec.name}:{'x'.join(map(str, shape[index]))}"
            for spec, shape in zip(inputs, shapes, strict=True)
        )
        for index in range(3)
    ]


def installed_over_each_other() -> bool:
    """Say whether both packages that install ``onnxruntime`` are there: the last one's files count."""
    return all(map(_is_installed, ("onnxruntime", "onnxruntime-gpu")))


def _is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def unavailable(backend: str) -> str | None:
    """Reason why a backend can't run here, in one line; ``None`` when it can. No GPU: nothing is loaded."""
    try:
        require(backend)
    except BackendUnavailableError as error:
        return str(error)
    return None


@lru_cache(maxsize=2)
def require(backend: str) -> None:
    """Make sure that a backend's provider runs here, once by running it.

    Raises:
        BackendUnavailableError: onnxruntime, its provider, a library, the driver or the GPU is missing.
    """
    if reason := no_gpu():
        raise NoGpuError(reason, backend)
    ort = import_onnxruntime()
    provider = PROVIDERS[backend]
    if provider not in ort.get_available_providers():
        why = f" ({OVER_EACH_OTHER})" if installed_over_each_other() else ""
        raise BackendUnavailableError(backend, f"an onnxruntime with {provider}{why}", INSTALL)
    _preload(ort, provider)
    try:
        session = ort.InferenceSession(_PROBE, providers=[provider, CPU[0]], enable_fallback=0)
        loaded = session.get_providers()[0] == provider
    except error_classes():
        loaded = False
    if not loaded:
        what = "libnvinfer.so.10" if provider == TENSORRT_PROVIDER else "CUDA's and cuDNN's libraries"
        raise BackendUnavailableError(backend, what, INSTALL)


def _preload(ort: Any, provider: str) -> None:
    """Load the libraries of the ``nvidia-*`` and ``tensorrt`` wheels, which the provider doesn't look for."""
    if hasattr(ort, "preload_dlls"):  # since 1.21; it prints what it misses
        with contextlib.redirect_stdout(io.StringIO()):
            ort.preload_dlls()
    if provider == TENSORRT_PROVIDER:
        with contextlib.suppress(ImportError, OSError):
            importlib.import_module("tensorrt")
