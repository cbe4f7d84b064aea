"""Memory that a GPU can reach: device buffers, pinned host buffers, and the pair that carries one tensor."""

from __future__ import annotations

import ctypes
import math
import weakref
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import TensorSpec
from emorec_rt.engines.tensorrt.api import CudaRuntime, import_cuda_runtime
from emorec_rt.engines.tensorrt.cuda import Stream, check
from emorec_rt.machine.device_array import DeviceArray


class DeviceBuffer:
    """Bytes on the GPU.

    Raises:
        OutOfMemoryError: There are not that many left.
    """

    def __init__(self, size_bytes: int) -> None:
        cuda: CudaRuntime = import_cuda_runtime()
        self.address = int(check(cuda.cudaMalloc(size_bytes), f"reserving {size_bytes} bytes on the GPU"))
        self._finalizer = weakref.finalize(self, cuda.cudaFree, self.address)

    def close(self) -> None:
        """Give it back; also done when it is collected."""
        self._finalizer()


class PinnedBuffer:
    """Bytes of the host that the GPU copies from and to without a detour, or uses in place when mapped.

    Args:
        size_bytes: How many.
        mapped: Whether the GPU uses them in place; worth it only where both share one memory.

    Raises:
        OutOfMemoryError: There are not that many left.
    """

    def __init__(self, size_bytes: int, *, mapped: bool = False) -> None:
        cuda: CudaRuntime = import_cuda_runtime()
        flags = cuda.cudaHostAllocMapped if mapped else cuda.cudaHostAllocDefault
        self.address = int(check(cuda.cudaHostAlloc(size_bytes, flags), f"pinning {size_bytes} bytes"))
        self._finalizer = weakref.finalize(self, cuda.cudaFreeHost, self.address)
        self._bytes = np.ctypeslib.as_array((ctypes.c_uint8 * size_bytes).from_address(self.address))

    def view(self, dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
        """Its first bytes as an array, valid as long as this buffer."""
        # Bytes first, view next: ctypeslib itself knows no FP16.
        count = math.prod(shape) * np.dtype(dtype).itemsize
        return self._bytes[:count].view(dtype).reshape(shape)

    def device_address(self) -> int:
        """Address for the GPU; mapped buffers only."""
        cuda: CudaRuntime = import_cuda_runtime()
        return int(check(cuda.cudaHostGetDevicePointer(self.address, 0), "mapping pinned memory"))

    def close(self) -> None:
        """Give it back; also done when it is collected."""
        self._finalizer()


class TensorBuffer:
    """Memory of one input or output on both sides, for up to ``max_batch`` items.

    Args:
        spec: The tensor; its first dimension is the batch.
        max_batch: Items it has room for.
        mapped: One buffer for both sides instead of two and copies (integrated GPUs).

    Raises:
        OutOfMemoryError: The GPU or the host has no room.
    """

    def __init__(self, spec: TensorSpec, max_batch: int, *, mapped: bool) -> None:
        self.spec = spec
        self.item_bytes = math.prod(spec.shape[1:]) * np.dtype(spec.dtype).itemsize
        size_bytes = max(1, max_batch * self.item_bytes)
        self._host = PinnedBuffer(size_bytes, mapped=mapped)
        self._device = None if mapped else DeviceBuffer(size_bytes)
        self.address = self._device.address if self._device else self._host.device_address()

    def host(self, batch: int) -> NDArray[Any]:
        """The host's side of the first ``batch`` items."""
        return self._host.view(self.spec.dtype, (batch, *self.spec.shape[1:]))

    def take(self, items: Sequence[DeviceArray], stream: Stream) -> None:
        """Put copies of items that are on the GPU on the stream, in the place of ``upload``."""
        cuda: CudaRuntime = import_cuda_runtime()
        kind = cuda.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        for k, item in enumerate(items):
            target = self.address + k * self.item_bytes
            result = cuda.cudaMemcpyAsync(target, item.address, self.item_bytes, kind, stream.handle)
            check(result, f"copying {self.spec.name} on the GPU")

    def upload(self, batch: int, stream: Stream) -> None:
        """Put the copy to the GPU on the stream."""
        if self._device:
            self._copy(self.address, self._host.address, batch, "cudaMemcpyHostToDevice", stream)

    def download(self, batch: int, stream: Stream) -> None:
        """Put the copy from the GPU on the stream."""
        if self._device:
            self._copy(self._host.address, self.address, batch, "cudaMemcpyDeviceToHost", stream)

    def _copy(self, target: int, source: int, batch: int, kind: str, stream: Stream) -> None:
        cuda: CudaRuntime = import_cuda_runtime()
        direction = getattr(cuda.cudaMemcpyKind, kind)
        size_bytes = batch * self.item_bytes
        check(
            cuda.cudaMemcpyAsync(target, source, size_bytes, direction, stream.handle),
            f"copying {self.spec.name}",
        )

    def close(self) -> None:
        """Give both sides back."""
        self._host.close()
        if self._device:
            self._device.close()
