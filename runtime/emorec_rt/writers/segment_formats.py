"""Segments as tables: ``segments.csv``, ``boris.csv`` and ``json``."""

from __future__ import annotations

from typing import Any

import msgspec

from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target
from emorec_rt.writers.csv_format import csv_line
from emorec_rt.writers.digest import Digest
from emorec_rt.writers.segments import PeopleSegmenter, Segment
from emorec_rt.writers.source import start_seconds


class SegmentsCsvFormat:
    """Start, end, person, label and means of each segment, on the container's clock as in ``csv``.

    Args:
        target: What to write.
    """

    def __init__(self, target: Target) -> None:
        self._segmenter = PeopleSegmenter(target.labels, target.options.min_segment_seconds)
        self._measures = target.measures

    def header(self) -> str:
        """Column names."""
        means = [f"mean_{name}" for name in self._measures]
        return csv_line(["start_seconds", "end_seconds", "person", "label", "mean_score", *means])

    def row(self, prediction: Prediction) -> str:
        """The segments that this frame completes, often none."""
        return "".join(map(self._line, self._segmenter.add(prediction)))

    def end(self) -> str:
        """The last segments."""
        return "".join(map(self._line, self._segmenter.finish()))

    def _line(self, segment: Segment) -> str:
        times = f"{segment.start_seconds:.3f}", f"{segment.end_seconds:.3f}"
        means = [segment.probability, *(segment.measures[name] for name in self._measures)]
        return csv_line(
            [*times, person_name(segment.person), segment.label, *(f"{mean:.4f}" for mean in means)]
        )


class BorisFormat(SegmentsCsvFormat):
    """Events in the columns that BORIS imports: each segment starts and stops a state.

    Times count from the container's start, as in players. BORIS takes such a table from a spreadsheet file
    (Observations, Import observations), or pasted into the events of an open observation.

    Args:
        target: What to write.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._start_seconds = start_seconds(target.source)

    def header(self) -> str:
        """Column names."""
        return csv_line(["time", "subject", "code", "modifier", "comment"])

    def _line(self, segment: Segment) -> str:
        comment = f"mean score {segment.probability:.2f}"
        times = segment.start_seconds, segment.end_seconds
        return "".join(
            csv_line(
                [
                    f"{max(time - self._start_seconds, 0.0):.3f}",
                    person_name(segment.person),
                    segment.label,
                    "",
                    comment,
                ]
            )
            for time in times
        )


class JsonFormat:
    """One JSON object: the summary and all segments, on the container's clock.

    Args:
        target: What to write.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._segmenter = PeopleSegmenter(target.labels, target.options.min_segment_seconds)
        self._digest = Digest(target.labels, target.options.min_segment_seconds)
        self._segments: list[dict[str, Any]] = []

    def header(self) -> str:
        """All text comes at the end."""
        return ""

    def row(self, prediction: Prediction) -> str:
        """Nothing is known before the last frame."""
        self._digest.add(prediction)
        self._segments.extend(map(segment_record, self._segmenter.add(prediction)))
        return ""

    def end(self) -> str:
        """The object."""
        self._segments.extend(map(segment_record, self._segmenter.finish()))
        record = {
            "video": self._target.video,
            "notice": self._target.notice,
            "labels": self._target.labels,
            "summary": self._digest.finish().to_dict(),
            "segments": self._segments,
        }
        return msgspec.json.format(msgspec.json.encode(record), indent=2).decode() + "\n"


def segment_record(segment: Segment) -> dict[str, Any]:
    """A segment as plain objects; ``person`` is ``None`` where persons are not told apart."""
    return {
        "start_seconds": round(segment.start_seconds, 3),
        "end_seconds": round(segment.end_seconds, 3),
        "person": segment.person,
        "label": segment.label,
        "mean_score": round(segment.probability, 4),
        **{f"mean_{name}": round(mean, 4) for name, mean in segment.measures.items()},
    }


def person_name(person: int | None) -> str:
    """A person's number as text; empty where persons are not told apart."""
    return "" if person is None else str(person)
