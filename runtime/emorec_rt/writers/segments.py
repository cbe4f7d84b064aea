"""From a row a frame to runs of one label, short flickers merged into their neighbours."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from emorec_rt.prediction import Prediction

DEFAULT_STEP_SECONDS: Final = 0.04
"""How long a frame is shown that is the only one."""

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
    """

    start_seconds: float
    end_seconds: float
    label: str
    probability: float


@dataclass(slots=True)
class _Run:
    label: int
    start_seconds: float
    end_seconds: float
    total: NDArray[np.float64]  # [C], sum of the probabilities
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

    @property
    def end_seconds(self) -> float:
        """End of the newest frame: its start and the median of the last steps."""
        step = float(np.median(self._steps)) if self._steps else DEFAULT_STEP_SECONDS
        return (self._last_seconds or 0.0) + step


class Segmenter:
    """Cut rows into segments as they come; memory doesn't grow with length.

    Runs shorter than the minimum are merged, the shortest first, into the neighbour whose label was more
    probable during the run. Segments cover the time from the first frame to the end of the last one without
    gap or overlap, neighbours differ in label, and none is shorter than the minimum unless it is the only
    one.

    Args:
        labels: Class names in the order of the probabilities.
        min_seconds: Shortest segment.
    """

    def __init__(self, labels: tuple[str, ...], min_seconds: float) -> None:
        self._labels = labels
        self._position = {label: index for index, label in enumerate(labels)}
        self._min_seconds = min_seconds
        self._clock = FrameClock()
        self._group: list[_Run] = []  # a long run, short ones after it; what comes may still join them
        self._run: _Run | None = None

    def add(self, prediction: Prediction) -> list[Segment]:
        """Take the next row; return the segments that can't change any more."""
        self._clock.tick(prediction.time_seconds)
        label = self._position[prediction.label]
        probabilities = prediction.probabilities.astype(np.float64)
        run, given = self._run, []
        if run is not None and run.label == label:
            run.total += probabilities
            run.frames += 1
            return []
        if run is not None:
            given = self._close(run, prediction.time_seconds)
        self._run = _Run(label, prediction.time_seconds, prediction.time_seconds, probabilities, 1)
        return given

    def finish(self) -> list[Segment]:
        """No more rows will come: return the rest."""
        if self._run is None:
            return []
        self._run.end_seconds = self._clock.end_seconds
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
        probability = float(run.total[run.label]) / run.frames
        return Segment(run.start_seconds, run.end_seconds, self._labels[run.label], probability)


def _joined(runs: Sequence[_Run]) -> list[_Run]:
    joined: list[_Run] = []
    for run in runs:
        if joined and joined[-1].label == run.label:
            joined[-1].absorb(run)
        else:
            joined.append(run)
    return joined
