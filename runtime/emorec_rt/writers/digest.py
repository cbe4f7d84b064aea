"""Summary of one input: who felt what for how long, as far as the rows say."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np

from emorec_rt.windows.prediction import Prediction
from emorec_rt.writers.base import MIN_SEGMENT_SECONDS
from emorec_rt.writers.segments import DEFAULT_STEP_SECONDS, PeopleSegmenter, Segment

LONGEST_STEP_SECONDS: Final = 1.0
"""A row stands for the time until the next one, but for no longer than this: a stream may have gaps."""

_TOUCHING_SECONDS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Summary:
    """Shares, means and coverage of an input's rows.

    Attributes:
        seconds: Time that the rows stand for; that of several persons adds up.
        shares: Share of the known time that has each label; adds up to 1, all 0 without known time.
        mean_scores: Mean probability of each class over the known time.
        changes_per_minute: Changes of the label in a minute of known time, after short runs are merged.
        face: Share of the time with a face.
        sound: Share of the time with sound.
        unknown: Share of the time with neither, in which no emotion is asserted.
        unknown_rows: Rows with neither.
        people: Number of persons.
    """

    seconds: float
    shares: dict[str, float]
    mean_scores: dict[str, float]
    changes_per_minute: float
    face: float
    sound: float
    unknown: float
    unknown_rows: int
    people: int

    def to_dict(self) -> dict[str, Any]:
        """Plain objects for JSON, rounded to what is worth reading."""
        return {key: _rounded(value) for key, value in asdict(self).items()}

    def most(self, count: int = 2) -> str:
        """The labels with the largest shares."""
        ranked = sorted(self.shares.items(), key=lambda pair: -pair[1])[:count]
        told = ", ".join(f"{label} {share:.0%}" for label, share in ranked if share >= 0.005)
        return told or "no emotion told"

    def line(self) -> str:
        """One line for a person."""
        people = f"{self.people} people, " if self.people > 1 else ""
        return (
            f"{people}{self.most(len(self.shares))}; {self.changes_per_minute:.1f} changes a minute; "
            f"face {self.face:.0%}, sound {self.sound:.0%} of the time"
        )


class Digest:
    """Add up rows as they come; memory doesn't grow with their number.

    Args:
        labels: Class names in the order of the probabilities.
        min_segment_seconds: Runs shorter than this don't count as changes.
    """

    def __init__(self, labels: tuple[str, ...], min_segment_seconds: float = MIN_SEGMENT_SECONDS) -> None:
        self._labels = labels
        self._position = {label: index for index, label in enumerate(labels)}
        self._seconds = np.zeros(len(labels))
        self._scores = np.zeros(len(labels))
        self._total = self._known = self._face = self._sound = 0.0
        self._unknown_rows = self._changes = 0
        self._waiting: dict[int | None, Prediction] = {}
        self._steps: dict[int | None, float] = {}
        self._segmenter = PeopleSegmenter(labels, min_segment_seconds)
        self._last: dict[int | None, Segment] = {}

    def add(self, prediction: Prediction) -> None:
        """Take the next row."""
        self._unknown_rows += not prediction.known
        self._count_changes(self._segmenter.add(prediction))
        person = prediction.person
        before = self._waiting.get(person)
        if before is not None:
            step = min(max(prediction.time_seconds - before.time_seconds, 0.0), LONGEST_STEP_SECONDS)
            self._steps[person] = step
            self._credit(before, step)
        self._waiting[person] = prediction

    def finish(self) -> Summary:
        """No more rows will come: give the summary."""
        for person, row in self._waiting.items():
            self._credit(row, self._steps.get(person, DEFAULT_STEP_SECONDS))
        people, known = sum(person is not None for person in self._waiting) or 1, self._known or 1.0
        self._waiting.clear()
        self._count_changes(self._segmenter.finish())
        total = self._total or 1.0
        return Summary(
            seconds=self._total,
            shares=dict(zip(self._labels, (self._seconds / known).tolist(), strict=True)),
            mean_scores=dict(zip(self._labels, (self._scores / known).tolist(), strict=True)),
            changes_per_minute=60.0 * self._changes / known if self._known else 0.0,
            face=self._face / total,
            sound=self._sound / total,
            unknown=1.0 - self._known / total if self._total else 0.0,
            unknown_rows=self._unknown_rows,
            people=people,
        )

    def _credit(self, row: Prediction, seconds: float) -> None:
        self._total += seconds
        self._face += seconds * row.face
        self._sound += seconds * row.sound
        if row.known:
            self._known += seconds
            self._seconds[self._position[row.label]] += seconds
            self._scores += seconds * row.probabilities

    def _count_changes(self, segments: list[Segment]) -> None:
        for segment in segments:
            last = self._last.get(segment.person)
            self._last[segment.person] = segment
            if last is not None and segment.start_seconds - last.end_seconds < _TOUCHING_SECONDS:
                self._changes += 1


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return round(value, 4) if isinstance(value, float) else value
