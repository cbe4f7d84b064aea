"""The only place where TensorRT and the CUDA runtime are imported.

Neither carries types, so ``Any`` enters here and nowhere else. The aliases are named after TensorRT's own
classes; a test reads which members the code takes from a variable annotated with one, and looks them up in
the real bindings of several releases.
"""

from __future__ import annotations

import importlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from emorec_rt.errors import BackendUnavailableError

TensorRT: TypeAlias = Any
CudaRuntime: TypeAlias = Any
Builder: TypeAlias = Any
EngineInspector: TypeAlias = Any
IBuilderConfig: TypeAlias = Any
ICudaEngine: TypeAlias = Any
IExecutionContext: TypeAlias = Any
IHostMemory: TypeAlias = Any
ILogger: TypeAlias = Any
INetworkDefinition: TypeAlias = Any
IOptimizationProfile: TypeAlias = Any
IProgressMonitor: TypeAlias = Any
ITensor: TypeAlias = Any
ITimingCache: TypeAlias = Any
OnnxParser: TypeAlias = Any
ParserError: TypeAlias = Any
Runtime: TypeAlias = Any

OLDEST: Final = (10, 3)
"""First release that takes strongly typed Q/DQ graphs well enough (JetPack 6.1)."""

JETSON_RELEASE: Final = Path("/etc/nv_tegra_release")
JETSON_MEMORY: Final = Path("/dev/nvmap")
"""The driver's own node: a container has it, too, where release file and device tree are hidden."""
EXTRA: Final = "pip install 'emorec[tensorrt]'"
_JETSON: Final = "sudo apt-get install python3-libnvinfer"
_JETSON_CUDA: Final = "pip install 'cuda-python==12.6.2.post1' (JetPack 6) or 'cuda-bindings' (JetPack 7)"


@lru_cache(maxsize=1)
def import_tensorrt() -> TensorRT:
    """The module ``tensorrt``.

    Raises:
        BackendUnavailableError: It is missing, incomplete or older than ``OLDEST``.
    """
    try:
        trt: TensorRT = importlib.import_module("tensorrt")
    except ModuleNotFoundError as error:
        raise BackendUnavailableError("tensorrt", str(error.name), _install()) from error
    except (ImportError, OSError) as error:
        raise BackendUnavailableError("tensorrt", f"a whole TensorRT ({error})", _install()) from error
    if _release(trt.__version__) < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise BackendUnavailableError(
            "tensorrt", f"TensorRT {wanted} or later (found {trt.__version__})", _install()
        )
    return trt


@lru_cache(maxsize=1)
def import_cuda_runtime() -> CudaRuntime:
    """The CUDA runtime's Python bindings; ``cuda.cudart`` is their place in cuda-python 12.6 (JetPack 6).

    Raises:
        BackendUnavailableError: Neither is installed.
    """
    runtime = _import_or_none("cuda.bindings.runtime") or _import_or_none("cuda.cudart")
    if runtime is None:
        raise BackendUnavailableError("tensorrt", "cuda-bindings", _JETSON_CUDA if on_jetson() else EXTRA)
    return runtime


def _import_or_none(name: str) -> CudaRuntime:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def on_jetson() -> bool:
    """Say whether this is a Jetson, whose TensorRT comes with JetPack and never from pip."""
    return JETSON_RELEASE.exists() or JETSON_MEMORY.exists()


def _install() -> str:
    return _JETSON if on_jetson() else EXTRA


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])
