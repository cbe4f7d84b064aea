"""Tiers of segments for coding tools: ELAN (``eaf``) and Praat (``TextGrid``).

Times count from the container's start, as those tools' players show them.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from datetime import datetime, timezone
from itertools import count
from urllib.parse import quote
from xml.sax.saxutils import escape, quoteattr

from emorec_rt.constants import VERSION
from emorec_rt.media.sources import is_address
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import STDOUT, Target
from emorec_rt.writers.segments import PeopleSegmenter, Segment
from emorec_rt.writers.source import start_seconds

_SCHEMA = "http://www.mpi.nl/tools/elan/EAFv3.0.xsd"


class _Tiers(ABC):
    """Collect segments by person; all text comes at the end."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._segmenter = PeopleSegmenter(target.labels, target.options.min_segment_seconds)
        self._start_seconds = start_seconds(target.source)
        self._tiers: dict[int | None, list[Segment]] = {}

    def header(self) -> str:
        """All text comes at the end."""
        return ""

    def row(self, prediction: Prediction) -> str:
        """Nothing is known before the last frame."""
        self._keep(self._segmenter.add(prediction))
        return ""

    def end(self) -> str:
        """The document."""
        self._keep(self._segmenter.finish())
        return self._document()

    def _keep(self, segments: list[Segment]) -> None:
        for segment in segments:
            self._tiers.setdefault(segment.person, []).append(segment)

    @abstractmethod
    def _document(self) -> str:
        """All text of the file."""

    def _named(self) -> Iterator[tuple[str, list[Segment]]]:
        for person, segments in self._tiers.items() or {None: list[Segment]()}.items():
            yield "emotion" if person is None else f"emotion person {person}", segments

    def _seconds(self, time_seconds: float) -> float:
        return max(time_seconds - self._start_seconds, 0.0)


class TextGridFormat(_Tiers):
    """Praat's long text format: one interval tier for each person, blank where no emotion is told."""

    def _document(self) -> str:
        tiers = [(name, list(self._intervals(segments))) for name, segments in self._named()]
        end = max((intervals[-1][1] for _, intervals in tiers if intervals), default=0.001)
        head = f'File type = "ooTextFile"\nObject class = "TextGrid"\n\nxmin = 0\nxmax = {end:.6f}\n'
        body = "".join(_tier(number, name, items, end) for number, (name, items) in enumerate(tiers, 1))
        return f"{head}tiers? <exists>\nsize = {len(tiers)}\nitem []:\n{body}"

    def _intervals(self, segments: list[Segment]) -> Iterator[tuple[float, float, str]]:
        """Start, end and text, without gaps: Praat wants the whole time covered."""
        done = 0.0
        for segment in segments:
            start, end = self._seconds(segment.start_seconds), self._seconds(segment.end_seconds)
            if start > done + 1e-6:
                yield done, start, ""
            if end > max(start, done) + 1e-6:
                yield max(start, done) if start > done + 1e-6 else done, end, segment.label
                done = end


def _tier(number: int, name: str, items: list[tuple[float, float, str]], end: float) -> str:
    if not items or items[-1][1] < end - 1e-6:
        items = [*items, (items[-1][1] if items else 0.0, end, "")]
    lines = [
        f"    item [{number}]:",
        '        class = "IntervalTier"',
        f"        name = {_quoted(name)}",
        "        xmin = 0",
        f"        xmax = {end:.6f}",
        f"        intervals: size = {len(items)}",
    ]
    for index, (start, stop, text) in enumerate(items, 1):
        lines += [
            f"        intervals [{index}]:",
            f"            xmin = {start:.6f}",
            f"            xmax = {stop:.6f}",
            f"            text = {_quoted(text)}",
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


class EafFormat(_Tiers):
    """ELAN's annotation format 3.0: one tier for each person, the labels as a controlled vocabulary."""

    def _document(self) -> str:
        slots: list[str] = []
        tiers = [self._tier(name, segments, slots) for name, segments in self._named()]
        date = datetime.now(timezone.utc).isoformat(timespec="seconds")
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f'<ANNOTATION_DOCUMENT AUTHOR="emorec {VERSION}" DATE="{date}" FORMAT="3.0" VERSION="3.0" '
            'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" '
            f'xsi:noNamespaceSchemaLocation="{_SCHEMA}">\n'
            f'<HEADER MEDIA_FILE="" TIME_UNITS="milliseconds">{self._media()}'
            f'<PROPERTY NAME="notice">{escape(self._target.notice)}</PROPERTY></HEADER>\n'
            f"<TIME_ORDER>\n{''.join(slots)}</TIME_ORDER>\n{''.join(tiers)}"
            '<LINGUISTIC_TYPE CONTROLLED_VOCABULARY_REF="emotion" GRAPHIC_REFERENCES="false" '
            'LINGUISTIC_TYPE_ID="emotion" TIME_ALIGNABLE="true"/>\n'
            '<LANGUAGE LANG_DEF="http://cdb.iso.org/lg/CDB-00138502-001" LANG_ID="und" '
            'LANG_LABEL="undetermined (und)"/>\n'
            f"{self._vocabulary()}</ANNOTATION_DOCUMENT>\n"
        )

    def _media(self) -> str:
        """The video by its path from the result, so that both can move together."""
        source, path = self._target.source, self._target.path
        if is_address(source) or source.is_dir() or path == STDOUT:
            return ""
        place = quote(os.path.relpath(source, path.parent).encode("utf-8", "surrogateescape"))
        kind = "video/mp4" if source.suffix.lower() == ".mp4" else "unknown"
        url = quoteattr(f"./{place}")
        return f'<MEDIA_DESCRIPTOR MEDIA_URL={url} MIME_TYPE="{kind}" RELATIVE_MEDIA_URL={url}/>'

    def _tier(self, name: str, segments: list[Segment], slots: list[str]) -> str:
        numbers = count(len(slots) // 2 + 1)
        lines = [self._annotation(number, item, slots) for number, item in zip(numbers, segments)]  # noqa: B905
        head = f'<TIER LINGUISTIC_TYPE_REF="emotion" TIER_ID={quoteattr(name)}>'
        return f"{head}\n{''.join(lines)}</TIER>\n"

    def _annotation(self, number: int, segment: Segment, slots: list[str]) -> str:
        names = f"ts{2 * number - 1}", f"ts{2 * number}"
        for name, time in zip(names, (segment.start_seconds, segment.end_seconds), strict=True):
            milliseconds = round(1000 * self._seconds(time))
            slots.append(f'<TIME_SLOT TIME_SLOT_ID="{name}" TIME_VALUE="{milliseconds}"/>\n')
        return (
            f'<ANNOTATION><ALIGNABLE_ANNOTATION ANNOTATION_ID="a{number}" TIME_SLOT_REF1="{names[0]}" '
            f'TIME_SLOT_REF2="{names[1]}"><ANNOTATION_VALUE>{escape(segment.label)}</ANNOTATION_VALUE>'
            "</ALIGNABLE_ANNOTATION></ANNOTATION>\n"
        )

    def _vocabulary(self) -> str:
        entries = "".join(
            f'<CV_ENTRY_ML CVE_ID="cve{index}"><CVE_VALUE DESCRIPTION="" LANG_REF="und">'
            f"{escape(label)}</CVE_VALUE></CV_ENTRY_ML>"
            for index, label in enumerate(self._target.labels)
        )
        return (
            '<CONTROLLED_VOCABULARY CV_ID="emotion"><DESCRIPTION LANG_REF="und"/>'
            f"{entries}</CONTROLLED_VOCABULARY>\n"
        )
