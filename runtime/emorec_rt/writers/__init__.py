"""What can be written. A format is one file and one line in ``FORMATS``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emorec_rt.errors import UsageError
from emorec_rt.writers.abaw import AbawFormat
from emorec_rt.writers.annotate import AnnotatedWriter
from emorec_rt.writers.base import MIN_SEGMENT_SECONDS, STDOUT, Format, Target, WholeFile, Writer
from emorec_rt.writers.csv_format import CsvFormat
from emorec_rt.writers.jsonl import JsonlFormat
from emorec_rt.writers.subtitles import SrtFormat, VttFormat
from emorec_rt.writers.text import ReaderGoneError, text_writer
from emorec_rt.writers.timeline import png_writer, svg_writer

__all__ = [
    "FORMATS",
    "MIN_SEGMENT_SECONDS",
    "STDOUT",
    "Format",
    "OutputFormat",
    "ReaderGoneError",
    "Target",
    "WholeFile",
    "Writer",
    "format_of",
]


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """How a format is written.

    Attributes:
        make: Makes the writer of one result.
        text: It can go to standard output.
        rereads: It takes a second pass over the input, about as long as the first on a fast machine.
        tag: Goes before the suffix of a file in a folder, where the suffix alone would look like media.
    """

    make: Callable[[Target], Writer]
    text: bool = False
    rereads: bool = False
    tag: str = ""


FORMATS: Final[dict[str, OutputFormat]] = {
    "txt": OutputFormat(text_writer(lambda target: AbawFormat(target.labels, target.video)), text=True),
    "csv": OutputFormat(text_writer(lambda target: CsvFormat(target.labels, target.video)), text=True),
    "jsonl": OutputFormat(text_writer(lambda target: JsonlFormat(target.labels, target.video)), text=True),
    "srt": OutputFormat(text_writer(SrtFormat), text=True),
    "vtt": OutputFormat(text_writer(VttFormat), text=True),
    "mp4": OutputFormat(AnnotatedWriter, rereads=True, tag=".annotated"),
    "png": OutputFormat(png_writer),
    "svg": OutputFormat(svg_writer),
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
