"""TensorRT 10.3 to 11 on NVIDIA GPUs, Jetson to data centre. Nothing is imported before it is used.

``opening`` finds or builds a plan (``builder``), compares it with its ONNX graph, keeps it beside the bundle
(``plans``) and loads it (``engine``, ``execution``) on buffers and streams of ``memory`` and ``cuda``.
"""

from __future__ import annotations

from typing import Final

from emorec_rt.bundle.manifest import Manifest, Precision
from emorec_rt.engines.base import Backend, first_variant, is_installed
from emorec_rt.engines.tensorrt.api import EXTRA, import_tensorrt, on_jetson
from emorec_rt.engines.tensorrt.cuda import Device, current_device
from emorec_rt.engines.tensorrt.engine import TensorRTEngine
from emorec_rt.engines.tensorrt.errors import BuildCancelledError
from emorec_rt.engines.tensorrt.opening import ensure_plan, open_tensorrt
from emorec_rt.engines.tensorrt.options import BatchRange, BuildOptions
from emorec_rt.errors import BackendUnavailableError, NoGpuError
from emorec_rt.machine.nvidia import no_gpu

__all__ = [
    "BACKEND",
    "BatchRange",
    "BuildCancelledError",
    "BuildOptions",
    "Device",
    "TensorRTEngine",
    "current_device",
    "ensure_plan",
    "open_tensorrt",
    "unavailable",
]

GPU_FORMS: Final[dict[Precision, tuple[Precision, ...]]] = {
    "fp32": ("fp16", "fp32"),
    "fp16": ("fp16",),
    "int8": ("int8-fp16", "int8"),
    "int8-fp16": ("int8-fp16",),
    "fp8": ("fp8",),
}
"""Stand-ins on a GPU for a bundle's own choice, which is made for CPUs: the first that the bundle has."""


def unavailable() -> str | None:
    """Reason why this backend can't run here, in one line; ``None`` when it can. Loads libraries."""
    # Where it is not installed, that is the more useful line; where it is, loading it for nothing takes long.
    if is_installed("tensorrt") and (reason := no_gpu()):
        return str(NoGpuError(reason))
    try:
        import_tensorrt()
        current_device()
    except BackendUnavailableError as error:
        return str(error)
    return None


def gpu_precision(manifest: Manifest) -> Precision:
    """On a Jetson what its memory plan says, elsewhere the GPU's form of the bundle's own choice."""
    if on_jetson():
        from emorec_rt.machine.jetson.plan import variant_for

        return variant_for(manifest)
    return first_variant(manifest, GPU_FORMS[manifest.precision])


BACKEND: Final = Backend(
    open=open_tensorrt,
    unavailable=unavailable,
    install=f"{EXTRA}; on a Jetson use JetPack's own",
    precision=gpu_precision,
    build=ensure_plan,
)
