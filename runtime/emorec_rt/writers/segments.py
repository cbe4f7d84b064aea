"""From a row a frame to runs of one label, short flickers merged into their neighbours."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.windows.prediction import Prediction

DEFAULT_STEP_SECONDS: Final = 0.04
"""Length of a frame that is the only one."""

AWAY_SECONDS: Final = 0.5
"""A person without rows for this long wasn't in the picture; its segment ends."""

_RECENT_STEPS: Final = 9
_MAX_GROUP: Final = 256


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of one label: ``[start_seconds, end_seconds)``.

    Attributes:
        start_seconds: Presentation time of its first frame.
        end_seconds: Presentation time of the next segment's first frame, or the end of the last frame.
        label: The class.
        probability: Mean probability of the class over the segment's frames.
        person: Number of the person; ``None`` where persons are not told apart.
        measures: Means over the same frames of what the bundle tells beside the classes, by name.
    """

    start_seconds: float
    end_seconds: float
    label: str
    probability: float
    person: int | None = None
    measures: Mapping[str, float] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    label: int
    start_seconds: float
    end_seconds: float
    total: NDArray[np.float64]  # [C + M], sum of the probabilities and of what is told beside them
    frames: int

    @property
    def length_seconds(self) -> float:
        return self.end_seconds - self.start_seconds

    def absorb(self, other: _Run) -> None:
        self.start_seconds = min(self.start_seconds, other.start_seconds)
        self.end_seconds = max(self.end_seconds, other.end_seconds)
        self.total += other.total
        self.frames += other.frames


class FrameClock:
    """Says when the newest frame ends: no container tells, so it is shown as long as those before it."""

    def __init__(self) -> None:
        self._steps: deque[float] = deque(maxlen=_RECENT_STEPS)
        self._last_seconds: float | None = None

    def tick(self, time_seconds: float) -> None:
        """A frame begins."""
        if self._last_seconds is not None:
            self._steps.append(time_seconds - self._last_seconds)
        self._last_seconds = time_seconds

    def since(self, time_seconds: float) -> float:
        """Time from the start of the newest frame; 0 before the first one."""
        return 0.0 if self._last_seconds is None else time_seconds - self._last_seconds

    @property
    def end_seconds(self) -> float:
        """End of the newest frame: its start and the median of the last steps."""
        step = float(np.median(self._steps)) if self._steps else DEFAULT_STEP_SECONDS
        return (self._last_seconds or 0.0) + step


class Segmenter:
    """Cut rows into segments as they come; memory doesn't grow with length.

    Runs shorter than the minimum are merged, the shortest first, into the neighbour whose label was more
    probable during the run. Frames without face and sound belong to no segment. All other time is covered
    without gap or overlap, neighbours differ in label, and none is shorter than the minimum unless it stands
    alone.

    Args:
        labels: Class names in the order of the probabilities.
        min_seconds: Shortest segment.
    """

    def __init__(self, labels: tuple[str, ...], min_seconds: float) -> None:
        self._labels = labels
        self._measures: tuple[str, ...] = ()
        self._position = {label: index for index, label in enumerate(labels)}
        self._min_seconds = min_seconds
        self._clock = FrameClock()
        self._group: list[_Run] = []  # a long run, short ones after it; what comes may still join them
        self._run: _Run | None = None

    def add(self, prediction: Prediction) -> list[Segment]:
        """Take the next row; return the segments that can't change any more."""
        ended = self._end(self._clock.end_seconds) if self._was_away(prediction) else []
        self._clock.tick(prediction.time_seconds)
        if not prediction.known:
            return ended + self._end(prediction.time_seconds)
        return ended + self._add(prediction)

    def _was_away(self, prediction: Prediction) -> bool:
        """Say whether a person comes back: there are no rows of the time in between."""
        if prediction.person is None or self._clock.since(prediction.time_seconds) <= AWAY_SECONDS:
            return False
        return prediction.time_seconds - self._clock.end_seconds > AWAY_SECONDS

    def _add(self, prediction: Prediction) -> list[Segment]:
        label = self._position[prediction.label]
        self._measures = tuple(prediction.measures)
        told = np.array([*prediction.probabilities, *prediction.measures.values()], np.float64)
        run, given = self._run, []
        if run is not None and run.label == label:
            run.total += told
            run.frames += 1
            return []
        if run is not None:
            given = self._close(run, prediction.time_seconds)
        self._run = _Run(label, prediction.time_seconds, prediction.time_seconds, told, 1)
        return given

    def finish(self) -> list[Segment]:
        """No more rows will come: return the rest."""
        return self._end(self._clock.end_seconds)

    def _end(self, end_seconds: float) -> list[Segment]:
        if self._run is None:
            return []
        self._run.end_seconds = end_seconds
        runs = self._merged([*self._group, self._run])
        self._group, self._run = [], None
        return [self._segment(run) for run in runs]

    def _close(self, run: _Run, end_seconds: float) -> list[Segment]:
        run.end_seconds = end_seconds
        self._group.append(run)
        if run.length_seconds < self._min_seconds and len(self._group) < _MAX_GROUP:
            return []
        # Nothing before a long run can be changed by what comes after it.
        *settled, last = self._merged(self._group)
        self._group = [last]
        return [self._segment(run) for run in settled]

    def _merged(self, runs: list[_Run]) -> list[_Run]:
        runs = _joined(runs)
        while len(runs) > 1:
            index = min(range(len(runs)), key=lambda i: runs[i].length_seconds)
            if runs[index].length_seconds >= self._min_seconds:
                break
            short = runs.pop(index)
            neighbours = runs[max(index - 1, 0) : index + 1]
            max(neighbours, key=lambda run: short.total[run.label]).absorb(short)
            runs = _joined(runs)
        return runs

    def _segment(self, run: _Run) -> Segment:
        means = run.total / run.frames
        measures = dict(zip(self._measures, means[len(self._labels) :].tolist(), strict=True))
        label, probability = self._labels[run.label], float(means[run.label])
        return Segment(run.start_seconds, run.end_seconds, label, probability, measures=measures)


class PeopleSegmenter:
    """Cut the rows of each person into segments of their own.

    Args:
        labels: Class names in the order of the probabilities.
        min_seconds: Shortest segment.
    """

    def __init__(self, labels: tuple[str, ...], min_seconds: float) -> None:
        self._labels, self._min_seconds = labels, min_seconds
        self._lanes: dict[int | None, Segmenter] = {}

    def add(self, prediction: Prediction) -> list[Segment]:
        """Take the next row; return the segments that can't change any more."""
        person = prediction.person
        if person not in self._lanes:
            self._lanes[person] = Segmenter(self._labels, self._min_seconds)
        return _of(person, self._lanes[person].add(prediction))

    def finish(self) -> list[Segment]:
        """No more rows will come: return the rest, one person after the other."""
        return [item for person, lane in self._lanes.items() for item in _of(person, lane.finish())]


def _of(person: int | None, segments: list[Segment]) -> list[Segment]:
    return [replace(segment, person=person) for segment in segments] if person is not None else segments


def _joined(runs: Sequence[_Run]) -> list[_Run]:
    joined: list[_Run] = []
    for run in runs:
        if joined and joined[-1].label == run.label:
            joined[-1].absorb(run)
        else:
            joined.append(run)
    return joined
