"""Subtitles: SubRip (``srt``) and WebVTT (``vtt``).

Times count from the container's start, as players show them: a player subtracts the container's start time
(the earliest stream's) from video and sound, and takes a subtitle file's zero for that same instant.
Row formats keep the container's own clock.
"""

from __future__ import annotations

from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import Target
from emorec_rt.writers.segments import Segment, Segmenter
from emorec_rt.writers.source import start_seconds


class _Subtitles:
    _decimal = ","
    _numbered = True
    _head = ""

    def __init__(self, target: Target) -> None:
        self._segmenter = Segmenter(target.labels, target.options.min_segment_seconds)
        self._start_seconds = start_seconds(target.source)
        self._notice = " ".join(target.notice.split())
        self._count = 0

    def header(self) -> str:
        """The start of the file."""
        return self._head + self._note()

    def _note(self) -> str:
        """The notice as a cue of a millisecond: SubRip has no comments."""
        if not self._notice:
            return ""
        self._count += 1
        return f"{self._count}\n{self._clock(0)} --> {self._clock(1)}\nNOTE {self._notice}\n\n"

    def row(self, prediction: Prediction) -> str:
        """The subtitles that this frame completes, often none."""
        return "".join(map(self._cue, self._segmenter.add(prediction)))

    def end(self) -> str:
        """The last subtitles."""
        return "".join(map(self._cue, self._segmenter.finish()))

    def _cue(self, segment: Segment) -> str:
        start, end = (self._time(t) for t in (segment.start_seconds, segment.end_seconds))
        if start == end:
            return ""  # shorter than a millisecond: nothing that a player could show
        self._count += 1
        number = f"{self._count}\n" if self._numbered else ""
        return f"{number}{start} --> {end}\n{self._text(segment)}\n\n"

    def _text(self, segment: Segment) -> str:
        return f"{segment.label} {segment.probability:.2f}"

    def _time(self, seconds: float) -> str:
        return self._clock(max(round((seconds - self._start_seconds) * 1000), 0))

    def _clock(self, milliseconds: int) -> str:
        whole, thousandths = divmod(milliseconds, 1000)
        minutes, whole = divmod(whole, 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours:02d}:{minutes:02d}:{whole:02d}{self._decimal}{thousandths:03d}"


class SrtFormat(_Subtitles):
    """SubRip."""


class VttFormat(_Subtitles):
    """WebVTT (W3C)."""

    _decimal = "."
    _numbered = False
    _head = "WEBVTT\n\n"

    def _note(self) -> str:
        # A comment must not hold an arrow.
        return f"NOTE {self._notice.replace('-->', '->')}\n\n" if self._notice else ""

    def _text(self, segment: Segment) -> str:
        # WebVTT reads markup in its text.
        text = super()._text(segment)
        return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
