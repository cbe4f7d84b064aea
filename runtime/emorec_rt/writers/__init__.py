"""Output formats: one file and one line in ``FORMATS`` for each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from emorec_rt.errors import UsageError
from emorec_rt.files import WholeFile
from emorec_rt.writers.abaw import abaw_writer, action_units_writer, valence_arousal_writer
from emorec_rt.writers.annotate import AnnotatedWriter
from emorec_rt.writers.base import (
    MIN_SEGMENT_SECONDS,
    STDOUT,
    Format,
    OutputOptions,
    RereadingWriter,
    Target,
    Writer,
)
from emorec_rt.writers.csv_format import CsvFormat
from emorec_rt.writers.each_person import each_person
from emorec_rt.writers.every import EveryFormat
from emorec_rt.writers.jsonl import JsonlFormat
from emorec_rt.writers.lines import LinesFormat
from emorec_rt.writers.page import PageWriter
from emorec_rt.writers.parquet import ParquetWriter
from emorec_rt.writers.segment_formats import BorisFormat, JsonFormat, SegmentsCsvFormat
from emorec_rt.writers.subtitles import SrtFormat, VttFormat
from emorec_rt.writers.text import ReaderGoneError, text_writer
from emorec_rt.writers.tiers import EafFormat, TextGridFormat
from emorec_rt.writers.timeline import png_writer, svg_writer

__all__ = [
    "FORMATS",
    "MIN_SEGMENT_SECONDS",
    "STDOUT",
    "Format",
    "OutputFormat",
    "OutputOptions",
    "ReaderGoneError",
    "RereadingWriter",
    "Target",
    "WholeFile",
    "Writer",
    "format_of",
]


@dataclass(frozen=True, slots=True)
class OutputFormat:
    """An output format.

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


def _table_format(make: type[CsvFormat | JsonlFormat]) -> Callable[[Target], Format]:
    def made(target: Target) -> Format:
        options = target.options
        format_ = make(target.labels, target.video, people=options.people, measures=target.measures)
        every = options.every_seconds
        return format_ if every is None else EveryFormat(format_, every)

    return made


FORMATS: Final[dict[str, OutputFormat]] = {
    "txt": OutputFormat(abaw_writer, text=True),
    "va.txt": OutputFormat(valence_arousal_writer, text=True),
    "au.txt": OutputFormat(action_units_writer, text=True),
    "csv": OutputFormat(text_writer(_table_format(CsvFormat)), text=True),
    "jsonl": OutputFormat(text_writer(_table_format(JsonlFormat)), text=True),
    "parquet": OutputFormat(ParquetWriter),
    "segments.csv": OutputFormat(text_writer(SegmentsCsvFormat), text=True),
    "json": OutputFormat(text_writer(JsonFormat), text=True),
    "lines": OutputFormat(text_writer(LinesFormat), text=True),
    "srt": OutputFormat(text_writer(SrtFormat), text=True),
    "vtt": OutputFormat(text_writer(VttFormat), text=True),
    "eaf": OutputFormat(text_writer(EafFormat), text=True),
    "TextGrid": OutputFormat(text_writer(TextGridFormat), text=True),
    "boris.csv": OutputFormat(text_writer(BorisFormat), text=True),
    "html": OutputFormat(PageWriter),
    "mp4": OutputFormat(AnnotatedWriter, rereads=True, tag=".annotated"),
    "png": OutputFormat(each_person(png_writer)),
    "svg": OutputFormat(each_person(svg_writer)),
}
"""By name, which is also the file suffix, whatever its case."""


def format_of(path: Path, name: str | None) -> str:
    """The format that was asked for, or else the one that the suffix names.

    Raises:
        UsageError: Neither names a format.
    """
    if name in FORMATS:
        return name
    # The longest suffix counts: talk.segments.csv is not a table of frames.
    ends = [key for key in FORMATS if path.name.lower().endswith(f".{key.lower()}")]
    if name is not None or not ends:
        raise UsageError(f"{path}: no format has this suffix; give --format {'|'.join(FORMATS)}")
    return max(ends, key=len)
