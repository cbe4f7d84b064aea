"""The CUDA runtime with checked calls: streams, graphs, and what the device is."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emorec_rt.engines.tensorrt.api import CudaRuntime, import_cuda_runtime
from emorec_rt.errors import EngineError, NoGpuError, OutOfMemoryError, engine_error


def check(result: tuple[Any, ...], what: str) -> Any:
    """The values of a CUDA call, which returns ``(error, *values)``: one bare, several as a tuple.

    Args:
        result: What the call returned.
        what: What it was for, for the message.

    Raises:
        OutOfMemoryError: The GPU's memory is full.
        EngineError: Any other error.
    """
    error, *values = result
    cuda: CudaRuntime = import_cuda_runtime()
    if error == cuda.cudaError_t.cudaSuccess:
        return values[0] if len(values) == 1 else tuple(values)
    reason = _reason(cuda, error)
    cuda.cudaGetLastError()  # else a later, innocent call reports it again
    if error == cuda.cudaError_t.cudaErrorMemoryAllocation:
        raise OutOfMemoryError(
            f"{what}: the GPU's memory is full; take a smaller batch, or free memory on it"
        )
    raise engine_error(what, reason, "if it stays, restart the program")


def _reason(cuda: CudaRuntime, error: Any) -> str:
    _, text = cuda.cudaGetErrorString(error)
    return f"{text.decode()} ({error.name})"


@dataclass(frozen=True, slots=True)
class Device:
    """The GPU that plans are built for and run on.

    Attributes:
        name: As the driver calls it.
        compute_capability: Major and minor, such as ``(8, 7)`` for a Jetson Orin.
        integrated: Whether it shares the CPU's memory (a Jetson), so that copies can be left out.
        memory_bytes: All of its memory.
        driver: Newest CUDA version that the driver runs, as ``1000 * major + 10 * minor``.
        runtime: CUDA version of the runtime library, likewise.
    """

    name: str
    compute_capability: tuple[int, int]
    integrated: bool
    memory_bytes: int
    driver: int
    runtime: int

    @property
    def sm(self) -> str:
        """Compute capability as in ``sm_87``."""
        return "{}{}".format(*self.compute_capability)

    @property
    def slug(self) -> str:
        """Name and compute capability, fit for a folder: ``nvidia-h200-sm90``."""
        return slug(self.name, self.sm)


def slug(name: str, sm: str) -> str:
    """A GPU's name and compute capability, fit for a folder."""
    return f"{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-') or 'gpu'}-sm{sm}"


def current_device() -> Device:
    """The current device: the first one, unless ``CUDA_VISIBLE_DEVICES`` says otherwise.

    Raises:
        BackendUnavailableError: The CUDA bindings, the driver or the GPU are missing.
    """
    cuda: CudaRuntime = import_cuda_runtime()
    try:
        error, count = cuda.cudaGetDeviceCount()
    except RuntimeError as failure:  # cuda-python 12.6 raises where later ones return an error
        raise NoGpuError(str(failure)) from failure
    if error != cuda.cudaError_t.cudaSuccess:
        raise NoGpuError(_reason(cuda, error))
    if not count:
        raise NoGpuError("there is none")
    try:
        return _describe(cuda)
    except EngineError as failure:
        raise NoGpuError(str(failure)) from failure


def _describe(cuda: CudaRuntime) -> Device:
    index = check(cuda.cudaGetDevice(), "asking for the current GPU")
    attributes = cuda.cudaDeviceAttr
    properties = check(cuda.cudaGetDeviceProperties(index), "reading the GPU's properties")
    _, total = check(cuda.cudaMemGetInfo(), "reading the GPU's memory size")

    def attribute(which: Any) -> int:
        return int(check(cuda.cudaDeviceGetAttribute(which, index), "reading a GPU attribute"))

    major = attribute(attributes.cudaDevAttrComputeCapabilityMajor)
    minor = attribute(attributes.cudaDevAttrComputeCapabilityMinor)
    return Device(
        name=properties.name.decode(errors="replace").rstrip("\0"),
        compute_capability=(major, minor),
        integrated=attribute(attributes.cudaDevAttrIntegrated) == 1,
        memory_bytes=int(total),
        driver=int(check(cuda.cudaDriverGetVersion(), "reading the driver's version")),
        runtime=int(check(cuda.cudaRuntimeGetVersion(), "reading the CUDA version")),
    )


def free_memory_bytes() -> int:
    """Memory of the current device that nothing uses at present."""
    cuda: CudaRuntime = import_cuda_runtime()
    free, _ = check(cuda.cudaMemGetInfo(), "reading the GPU's free memory")
    return int(free)


class Stream:
    """A stream of its own: on the default one TensorRT synchronises more, and graphs can't be captured."""

    def __init__(self) -> None:
        cuda: CudaRuntime = import_cuda_runtime()
        stream = check(cuda.cudaStreamCreateWithFlags(cuda.cudaStreamNonBlocking), "creating a CUDA stream")
        self.handle = int(stream)
        self._finalizer = weakref.finalize(self, cuda.cudaStreamDestroy, stream)

    def synchronize(self) -> None:
        """Wait until all work on it is done; errors of that work surface here."""
        check(import_cuda_runtime().cudaStreamSynchronize(self.handle), "running on the GPU")

    def close(self) -> None:
        """Give it back; also done when it is collected."""
        self._finalizer()


class Graph:
    """Work captured from a stream, to be launched again at the cost of one call.

    Args:
        stream: Where the work goes.
        enqueue: Puts the work on the stream; it must have run there before, plainly and to its end, because
            the first run of an engine allocates, which a capture doesn't allow.
    """

    def __init__(self, stream: Stream, enqueue: Callable[[], None]) -> None:
        cuda: CudaRuntime = import_cuda_runtime()
        # Thread-local: other threads' allocations don't break this capture.
        mode = cuda.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        check(cuda.cudaStreamBeginCapture(stream.handle, mode), "capturing a CUDA graph")
        try:
            enqueue()
        except BaseException:
            cuda.cudaStreamEndCapture(stream.handle)
            cuda.cudaGetLastError()
            raise
        captured = check(cuda.cudaStreamEndCapture(stream.handle), "capturing a CUDA graph")
        try:
            self._graph = check(cuda.cudaGraphInstantiate(captured, 0), "instantiating a CUDA graph")
        finally:
            cuda.cudaGraphDestroy(captured)
        self._stream = stream
        self._finalizer = weakref.finalize(self, cuda.cudaGraphExecDestroy, self._graph)

    def launch(self) -> None:
        """Run the captured work once on its stream."""
        cuda: CudaRuntime = import_cuda_runtime()
        check(cuda.cudaGraphLaunch(self._graph, self._stream.handle), "launching a CUDA graph")

    def close(self) -> None:
        """Give it back; also done when it is collected."""
        self._finalizer()
