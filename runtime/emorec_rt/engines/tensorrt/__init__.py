"""TensorRT 10.3 to 11 on NVIDIA GPUs, Jetson to data centre. Nothing is imported before it is used.

``opening`` finds or builds a plan (``builder``), compares it with its ONNX graph, keeps it beside the bundle
(``plans``) and loads it (``engine``, ``execution``) on buffers and streams of ``memory`` and ``cuda``.
"""

from __future__ import annotations

from emorec_rt.engines.tensorrt.cuda import Device, current_device
from emorec_rt.engines.tensorrt.engine import TensorRTEngine
from emorec_rt.engines.tensorrt.errors import BuildCancelledError
from emorec_rt.engines.tensorrt.opening import ensure_plan, open_tensorrt
from emorec_rt.engines.tensorrt.options import BatchRange, BuildOptions
from emorec_rt.engines.tensorrt.progress import Progress

__all__ = [
    "BatchRange",
    "BuildCancelledError",
    "BuildOptions",
    "Device",
    "Progress",
    "TensorRTEngine",
    "current_device",
    "ensure_plan",
    "open_tensorrt",
    "unavailable",
]


def unavailable() -> str | None:
    """Why this backend can't run here, in one line; ``None`` when it can. Loads what libraries there are."""
    from emorec_rt.engines.tensorrt.api import import_tensorrt
    from emorec_rt.errors import BackendUnavailableError

    try:
        import_tensorrt()
        current_device()
    except BackendUnavailableError as error:
        return str(error)
    return None
