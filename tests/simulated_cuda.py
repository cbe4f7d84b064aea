# ruff: noqa: N802, N815 - the real module's names
"""A CUDA runtime in host memory: copies are real, streams run at once, captures record and replay.

It stands in for ``cuda.bindings.runtime`` where there is no GPU. Names and call forms are the real module's;
a test compares them with it.
"""

from __future__ import annotations

import ctypes
import enum
from collections.abc import Callable
from types import SimpleNamespace

Work = Callable[[], None]


class cudaError_t(enum.IntEnum):  # noqa: N801 - the real name
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorStreamCaptureUnsupported = 900


class cudaMemcpyKind(enum.IntEnum):  # noqa: N801
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3


class cudaStreamCaptureMode(enum.IntEnum):  # noqa: N801
    cudaStreamCaptureModeThreadLocal = 1


class cudaDeviceAttr(enum.IntEnum):  # noqa: N801
    cudaDevAttrIntegrated = 18
    cudaDevAttrComputeCapabilityMajor = 75
    cudaDevAttrComputeCapabilityMinor = 76


OK = cudaError_t.cudaSuccess


class SimulatedCuda:
    """The module's names as attributes.

    Attributes:
        devices: How many GPUs there are; ``None`` for no driver.
        integrated: Whether the GPU shares the host's memory.
        memory_bytes: The GPU's memory.
        capturable: Whether streams can be captured.
        launches: Graph launches so far.
        copies: Copies so far, replayed ones included.
    """

    cudaError_t = cudaError_t
    cudaMemcpyKind = cudaMemcpyKind
    cudaStreamCaptureMode = cudaStreamCaptureMode
    cudaDeviceAttr = cudaDeviceAttr
    cudaHostAllocDefault = 0
    cudaHostAllocMapped = 2
    cudaStreamNonBlocking = 1

    def __init__(self) -> None:
        self.devices: int | None = 1
        self.integrated = False
        self.memory_bytes = 1 << 30
        self.capturable = True
        self.launches = 0
        self.copies = 0
        self.device_blocks: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.host_blocks: dict[int, ctypes.Array[ctypes.c_char]] = {}
        self.streams: set[int] = set()
        self.graphs: dict[int, list[Work]] = {}
        self.last_error = OK
        self._captures: dict[int, list[Work]] = {}
        self._handle = 1000

    def submit(self, stream: int, work: Work) -> None:
        """Run work now, or record it while the stream is captured."""
        assert stream in self.streams, "no such stream, or the default one"
        if stream in self._captures:
            self._captures[stream].append(work)
        else:
            work()

    def cudaGetErrorString(self, error: cudaError_t) -> tuple[cudaError_t, bytes]:
        return OK, error.name.removeprefix("cudaError").lower().encode()

    def cudaGetLastError(self) -> tuple[cudaError_t]:
        error, self.last_error = self.last_error, OK
        return (error,)

    def cudaGetDeviceCount(self) -> tuple[cudaError_t, int | None]:
        if self.devices is None:
            return cudaError_t.cudaErrorInsufficientDriver, None
        return OK, self.devices

    def cudaGetDevice(self) -> tuple[cudaError_t, int]:
        return OK, 0

    def cudaGetDeviceProperties(self, device: int) -> tuple[cudaError_t, SimpleNamespace]:
        assert device == 0
        return OK, SimpleNamespace(name=b"NVIDIA Test (8 GB)")

    def cudaDeviceGetAttribute(self, attribute: cudaDeviceAttr, device: int) -> tuple[cudaError_t, int]:
        assert device == 0
        major, minor = cudaDeviceAttr.cudaDevAttrComputeCapabilityMajor, 76
        values = {major: 8, minor: 7, cudaDeviceAttr.cudaDevAttrIntegrated: int(self.integrated)}
        return OK, values[attribute]

    def cudaDriverGetVersion(self) -> tuple[cudaError_t, int]:
        return OK, 13020

    def cudaRuntimeGetVersion(self) -> tuple[cudaError_t, int]:
        return OK, 12060

    def cudaMemGetInfo(self) -> tuple[cudaError_t, int, int]:
        return OK, self.memory_bytes - self._used(), self.memory_bytes

    def cudaMalloc(self, size: int) -> tuple[cudaError_t, int | None]:
        if self._used() + size > self.memory_bytes:
            return self._fail(cudaError_t.cudaErrorMemoryAllocation), None
        return OK, _allocate(self.device_blocks, size)

    def cudaFree(self, address: int) -> tuple[cudaError_t]:
        del self.device_blocks[address]
        return (OK,)

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[cudaError_t, int]:
        assert flags in (self.cudaHostAllocDefault, self.cudaHostAllocMapped)
        return OK, _allocate(self.host_blocks, size)

    def cudaFreeHost(self, address: int) -> tuple[cudaError_t]:
        del self.host_blocks[address]
        return (OK,)

    def cudaHostGetDevicePointer(self, address: int, flags: int) -> tuple[cudaError_t, int]:
        assert address in self.host_blocks
        assert flags == 0
        return OK, address

    def cudaMemcpyAsync(
        self, target: int, source: int, size: int, kind: cudaMemcpyKind, stream: int
    ) -> tuple[cudaError_t]:
        if kind == cudaMemcpyKind.cudaMemcpyDeviceToDevice:
            blocks = {**self.device_blocks, **(self.host_blocks if self.integrated else {})}
            assert any(start <= target <= start + len(block) - size for start, block in blocks.items())
            self.submit(stream, lambda: self._move(target, source, size))
            return (OK,)
        up = kind == cudaMemcpyKind.cudaMemcpyHostToDevice
        for address, blocks in ((target, self.device_blocks), (source, self.host_blocks)):
            blocks = blocks if up else self._other(blocks)
            assert size <= len(blocks[address]), "copy past the end"
        self.submit(stream, lambda: self._move(target, source, size))
        return (OK,)

    def cudaStreamCreateWithFlags(self, flags: int) -> tuple[cudaError_t, int]:
        assert flags == self.cudaStreamNonBlocking
        self.streams.add(handle := self._next())
        return OK, handle

    def cudaStreamDestroy(self, stream: int) -> tuple[cudaError_t]:
        self.streams.remove(stream)
        return (OK,)

    def cudaStreamSynchronize(self, stream: int) -> tuple[cudaError_t]:
        assert stream in self.streams
        assert stream not in self._captures, "synchronising breaks a capture"
        return (OK,)

    def cudaStreamBeginCapture(self, stream: int, mode: cudaStreamCaptureMode) -> tuple[cudaError_t]:
        assert mode == cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        if not self.capturable:
            return (self._fail(cudaError_t.cudaErrorStreamCaptureUnsupported),)
        self._captures[stream] = []
        return (OK,)

    def cudaStreamEndCapture(self, stream: int) -> tuple[cudaError_t, int]:
        self.graphs[handle := self._next()] = self._captures.pop(stream)
        return OK, handle

    def cudaGraphInstantiate(self, graph: int, flags: int) -> tuple[cudaError_t, int]:
        assert flags == 0
        self.graphs[handle := self._next()] = self.graphs[graph]
        return OK, handle

    def cudaGraphDestroy(self, graph: int) -> tuple[cudaError_t]:
        del self.graphs[graph]
        return (OK,)

    def cudaGraphExecDestroy(self, graph: int) -> tuple[cudaError_t]:
        del self.graphs[graph]
        return (OK,)

    def cudaGraphLaunch(self, graph: int, stream: int) -> tuple[cudaError_t]:
        self.launches += 1
        for work in self.graphs[graph]:
            self.submit(stream, work)
        return (OK,)

    def _used(self) -> int:
        return sum(map(len, self.device_blocks.values()))

    def _other(
        self, blocks: dict[int, ctypes.Array[ctypes.c_char]]
    ) -> dict[int, ctypes.Array[ctypes.c_char]]:
        return self.host_blocks if blocks is self.device_blocks else self.device_blocks

    def _move(self, target: int, source: int, size: int) -> None:
        self.copies += 1
        ctypes.memmove(target, source, size)

    def _fail(self, error: cudaError_t) -> cudaError_t:
        self.last_error = error
        return error

    def _next(self) -> int:
        self._handle += 1
        return self._handle


def _allocate(blocks: dict[int, ctypes.Array[ctypes.c_char]], size: int) -> int:
    block = ctypes.create_string_buffer(size)
    address = ctypes.addressof(block)
    blocks[address] = block
    return address
