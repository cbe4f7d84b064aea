"""TensorRT for RTX: portable engines for desktop GPUs from Ampere on, built in seconds without a GPU.

Building, comparing, keeping and running are the code of ``engines.tensorrt`` with another ``Library``.
No engine of it has run on a GPU yet; every one of them has been built and inspected.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from emorec_rt.bundle.manifest import Graph
from emorec_rt.engines.base import Backend, Progress, first_variant
from emorec_rt.engines.tensorrt import GPU_FORMS
from emorec_rt.engines.tensorrt.cuda import current_device
from emorec_rt.engines.tensorrt.engine import TensorRTEngine
from emorec_rt.engines.tensorrt.opening import ensure_plan, open_tensorrt
from emorec_rt.engines.tensorrt_rtx.library import INSTALL, NAME, RTX, import_rtx
from emorec_rt.engines.tensorrt_rtx.targets import runs_on
from emorec_rt.errors import BackendUnavailableError, EngineError, NoGpuError
from emorec_rt.machine.nvidia import no_gpu

__all__ = ["BACKEND", "RTX", "unavailable"]


def unavailable() -> str | None:
    """Reason why this backend can't run here, in one line; ``None`` when it can."""
    if reason := cannot_build():
        return reason
    try:
        check_gpu()
    except (BackendUnavailableError, EngineError) as error:
        return str(error)
    return None


def check_gpu() -> None:
    """Make sure that there is a GPU that the library runs on.

    Raises:
        NoGpuError: There is none.
        EngineError: It is of another generation.
    """
    if reason := no_gpu():
        raise NoGpuError(reason, NAME)
    device = current_device()
    if not runs_on(device.compute_capability):
        major, minor = device.compute_capability
        raise EngineError(
            f"backend {NAME} runs on GPUs of compute capability 8.0, 8.6, 8.9 and from 12.0 on; "
            f"{device.name} has {major}.{minor}, take --backend tensorrt or onnxruntime-cuda"
        )


def cannot_build() -> str | None:
    """Reason why it can't build here, in one line; that takes the library, and no GPU."""
    if find_spec("tensorrt_rtx") is None:
        return str(BackendUnavailableError(NAME, "tensorrt_rtx", INSTALL))
    if find_spec("cuda") is None or find_spec("cuda.bindings") is None:
        return str(BackendUnavailableError(NAME, "cuda-bindings", INSTALL))
    try:
        import_rtx()
    except BackendUnavailableError as error:
        return str(error)
    return None


def open_rtx(
    path: Path,
    graph: Graph,
    *,
    threads: int | None = None,  # noqa: ARG001 - no CPU threads
    progress: Progress | None = None,
) -> TensorRTEngine:
    """Run a graph of a bundle; its engine is built first where there is none, see ``open_tensorrt``.

    Raises:
        As for ``open_tensorrt`` and ``check_gpu``.
    """
    import_rtx()
    check_gpu()
    return open_tensorrt(path, graph, progress=progress, library=RTX)


BACKEND: Final = Backend(
    open=open_rtx,
    unavailable=unavailable,
    install=INSTALL,
    package="tensorrt-rtx-cu13",
    precision=lambda manifest: first_variant(manifest, GPU_FORMS[manifest.precision]),
    build=partial(ensure_plan, library=RTX),
    cannot_build=cannot_build,
)
