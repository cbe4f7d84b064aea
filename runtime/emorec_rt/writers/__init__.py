"""Output formats. A format is one file and one line in ``FORMATS``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from emorec_rt.errors import UsageError
from emorec_rt.writers.abaw import AbawFormat
from emorec_rt.writers.base import Format, WholeFile
from emorec_rt.writers.csv_format import CsvFormat
from emorec_rt.writers.jsonl import JsonlFormat

__all__ = ["FORMATS", "Format", "WholeFile", "format_of"]

FORMATS: Final[dict[str, Callable[[tuple[str, ...], str], Format]]] = {
    "txt": AbawFormat,
    "csv": CsvFormat,
    "jsonl": JsonlFormat,
}
"""By name, which is also the file suffix."""


def format_of(path: Path, name: str | None) -> str:
    """The format that was asked for, or else the one that the suffix names.

    Raises:
        UsageError: Neither names a format.
    """
    chosen = name or path.suffix.removeprefix(".").lower()
    if chosen not in FORMATS:
        raise UsageError(f"{path}: no format has this suffix; give --format {'|'.join(FORMATS)}")
    return chosen
