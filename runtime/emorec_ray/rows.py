"""Rows of the data sets: what goes to a worker, and what comes back, each as bytes of one column.

They are MessagePack with checked types. Ray moves them between its processes, and need not know what is
in them.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from emorec_rt.jobs.journal import Record
from emorec_rt.jobs.plan import Job
from emorec_rt.jobs.summary import Outcome

COLUMN: Final = "row"
Row = TypeVar("Row")


@dataclass(frozen=True, slots=True)
class Task:
    """An input for a worker.

    Attributes:
        number: Its place among the inputs of the call.
        job: The input and its results; all paths are absolute.
        record: Line of the journal about it, with ``resume``; it may no longer hold.
    """

    number: int
    job: Job
    record: Record | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of an input.

    Attributes:
        number: As in its task.
        outcome: Done, failed or skipped; ``None`` where the worker can't work at all.
        lines: Lines for people, in their order.
        record: What the journal is to hold about it.
        refusal: Why the worker can't load the engines.
        misused: The call is wrong rather than the machine.
    """

    number: int
    outcome: Outcome | None
    lines: tuple[str, ...] = ()
    record: Record | None = None
    refusal: str = ""
    misused: bool = False


def pack(row: object) -> bytes:
    """Encode a row."""
    return msgspec.msgpack.encode(row, enc_hook=_path_bytes)


def unpack(data: bytes, kind: type[Row]) -> Row:
    """Decode a row.

    Raises:
        ValidationError: It is another one.
    """
    return msgspec.msgpack.decode(data, type=kind, dec_hook=_bytes_path)


def in_unicode(result: Result) -> Result:
    """The result with question marks in its texts for bytes that are no UTF-8: file names may have them."""
    if result.outcome is None:
        return result
    outcome = replace(result.outcome, cause=_unicode(result.outcome.cause))
    return replace(result, outcome=outcome, lines=tuple(map(_unicode, result.lines)))


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


def _path_bytes(value: object) -> bytes:
    if isinstance(value, Path):
        return os.fsencode(value)
    raise NotImplementedError(f"rows have no {type(value).__name__}")


def _bytes_path(kind: type, value: object) -> Path:
    if kind is Path and isinstance(value, bytes):
        return Path(os.fsdecode(value))
    raise NotImplementedError(f"rows have no {kind.__name__}")
