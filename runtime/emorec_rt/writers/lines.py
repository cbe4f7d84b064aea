"""Segments as lines for people: what a terminal shows in the place of rows."""

from __future__ import annotations

from emorec_rt.errors import printable
from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target
from emorec_rt.writers.segments import PeopleSegmenter, Segment
from emorec_rt.writers.source import start_seconds


class LinesFormat:
    """Start, end, label and mean score of each segment; times count from the container's start.

    Args:
        target: What to write.
    """

    def __init__(self, target: Target) -> None:
        self._segmenter = PeopleSegmenter(target.labels, target.options.min_segment_seconds)
        self._start_seconds = start_seconds(target.source)
        self._width = max(map(len, target.labels))
        self._video = target.video

    def header(self) -> str:
        """The video's name."""
        return f"{printable(self._video)}\n"

    def row(self, prediction: Prediction) -> str:
        """The segments that this frame completes, often none."""
        return "".join(map(self._line, self._segmenter.add(prediction)))

    def end(self) -> str:
        """The last segments."""
        return "".join(map(self._line, self._segmenter.finish()))

    def _line(self, segment: Segment) -> str:
        times = f"{self._clock(segment.start_seconds)} - {self._clock(segment.end_seconds)}"
        person = "" if segment.person is None else f"  person {segment.person}"
        return f"{times}  {segment.label:{self._width}} {segment.probability:.2f}{person}\n"

    def _clock(self, seconds: float) -> str:
        tenths = max(round(10 * (seconds - self._start_seconds)), 0)
        minutes, tenths = divmod(tenths, 600)
        return f"{minutes:3d}:{tenths // 10:02d}.{tenths % 10}"
