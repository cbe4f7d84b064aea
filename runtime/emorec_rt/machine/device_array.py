"""Arrays that lie in a GPU's memory already: taken over through DLPack, handed to an engine without a copy.

https://dmlc.github.io/dlpack/latest/c_api.html has the structures.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from emorec_rt.errors import EngineError

_CAPSULE: Final = b"dltensor"
_KINDS: Final = {0: "int", 1: "uint", 2: "float"}


class DLPack(Protocol):
    """Whatever gives its memory away by DLPack."""

    def __dlpack__(self) -> Any:
        """A capsule around the memory."""


class _Device(ctypes.Structure):
    _fields_ = (("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32))


class _DataType(ctypes.Structure):
    _fields_ = (("code", ctypes.c_uint8), ("bits", ctypes.c_uint8), ("lanes", ctypes.c_uint16))


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device", _Device),
        ("ndim", ctypes.c_int32),
        ("dtype", _DataType),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


@dataclass(frozen=True, slots=True)
class DeviceArray:
    """One item in a device's memory, dense and in C order.

    Attributes:
        address: Where it begins, for the device.
        shape: Its shape.
        dtype: Its element type.
        host: Copies it into the host's memory, for engines that can't take it as it is.
        owner: What keeps the memory alive.
    """

    address: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    host: Callable[[], NDArray[Any]]
    owner: object

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The copy in the host's memory, so that NumPy takes it as an array."""
        return np.asarray(self.host(), dtype)

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return math.prod(self.shape) * self.dtype.itemsize


class DeviceBatch:
    """Items of one shape and type as one tensor, whose first dimension is the batch."""

    def __init__(self, items: Sequence[DeviceArray]) -> None:
        self.items = tuple(items)
        self.shape = (len(self.items), *self.items[0].shape)
        self.dtype = self.items[0].dtype

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, piece: slice) -> DeviceBatch:
        return DeviceBatch(self.items[piece])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """The copy in the host's memory."""
        return np.stack([np.asarray(item, dtype) for item in self.items])


def from_dlpack(tensor: DLPack, host: Callable[[], NDArray[Any]]) -> list[DeviceArray]:
    """The items of a batch, in place.

    Args:
        tensor: ``[B, ...]``, dense, in C order.
        host: Copies the whole batch into the host's memory.

    Raises:
        EngineError: It isn't dense, or has another element type than whole bytes.
    """
    capsule = tensor.__dlpack__()  # without a stream, the producer waits for its work here
    view = _Tensor.from_address(_pointer(capsule))
    shape = tuple(view.shape[axis] for axis in range(view.ndim))
    dtype = _dtype(view.dtype)
    _check_dense(view, shape)
    items = shape[0] if shape else 0
    item_bytes = math.prod(shape[1:]) * dtype.itemsize
    start = int(view.data or 0) + int(view.byte_offset)
    return [
        DeviceArray(start + k * item_bytes, shape[1:], dtype, lambda k=k: host()[k], capsule)  # type: ignore[misc]
        for k in range(items)
    ]


def stacked(items: Sequence[Any], *, on_device: bool) -> NDArray[Any]:
    """Make one batch of items: in place where all lie on the device and the engine takes that.

    The type says array for the sake of all the engines that never see anything else.
    """
    if on_device and all(isinstance(item, DeviceArray) for item in items):
        return cast("NDArray[Any]", DeviceBatch(items))
    return np.stack([np.asarray(item) for item in items])


def _pointer(capsule: object) -> int:
    get = ctypes.pythonapi.PyCapsule_GetPointer
    get.restype, get.argtypes = ctypes.c_void_p, (ctypes.py_object, ctypes.c_char_p)
    return cast("int", get(capsule, _CAPSULE))


def _dtype(kind: _DataType) -> np.dtype[Any]:
    if kind.code not in _KINDS or kind.lanes != 1 or kind.bits % 8:
        raise EngineError(f"DLPack type {kind.code}, {kind.bits} bits, {kind.lanes} lanes is not supported")
    return np.dtype(f"{_KINDS[kind.code]}{kind.bits}")


def _check_dense(view: _Tensor, shape: tuple[int, ...]) -> None:
    if not view.strides:
        return
    expected = 1
    for axis in reversed(range(view.ndim)):
        if shape[axis] > 1 and view.strides[axis] != expected:
            raise EngineError(f"a tensor of shape {list(shape)} is not dense")
        expected *= shape[axis]
