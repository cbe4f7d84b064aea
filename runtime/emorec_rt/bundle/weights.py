"""Test whether all weights of an ONNX file are inside it: what lies beside it has no hash in the manifest.

The file is protobuf, of which only the headers are read: https://protobuf.dev/programming-guides/encoding,
fields as in onnx.proto.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_INSIDE: Final[dict[str, dict[int, str]]] = {
    "model": {7: "graph", 25: "function"},
    "function": {7: "node"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
"""By kind of message: the fields that hold messages, and their kind."""

_DATA_LOCATION: Final = 14
_EXTERNAL_DATA: Final = 13
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def has_external_weights(path: Path) -> bool:
    """Say whether an ONNX file takes weights from other files. What is not protobuf has none.

    Raises:
        OSError: It can't be read.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        try:
            return _any_external(data)
        except (ValueError, IndexError):
            return False


def _any_external(data: mmap.mmap) -> bool:
    waiting = [("model", 0, len(data))]
    while waiting:
        kind, start, end = waiting.pop()
        for field, value, length in _fields(data, start, end):
            if kind == "tensor" and (field == _EXTERNAL_DATA or (field, value) == (_DATA_LOCATION, 1)):
                return True
            if (inner := _INSIDE.get(kind, {}).get(field)) and length >= 0:
                waiting.append((inner, value, value + length))
    return False


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Each field's number, its value or where its bytes begin, and how many these are; -1 for a number."""
    while start < end:
        tag, start = _varint(data, start)
        field, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value, start = _varint(data, start)
            yield field, value, -1
        elif wire == _BYTES:
            length, start = _varint(data, start)
            if length > end - start:
                raise ValueError("a field that is longer than its message")
            yield field, start, length
            start += length
        elif wire in (_FIXED64, _FIXED32):
            start += 8 if wire == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {wire}")


def _varint(data: mmap.mmap, start: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[start]
        start += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, start
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
