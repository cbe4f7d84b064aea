"""From the logits of overlapping windows to one row for each frame."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emorec_rt.bundle.manifest import Decoding
from emorec_rt.bundle.tasks import NO_TASKS, Tasks
from emorec_rt.errors import MismatchError
from emorec_rt.faces import Box
from emorec_rt.windows.prediction import Prediction
from emorec_rt.windows.window import Window


class SettledStep(NamedTuple):
    """One step of ``Settled``: its logits ``[C]``, and what the tasks give behind them."""

    time_seconds: float
    logits: NDArray[np.float32]
    sound: bool
    interpolated: bool


@dataclass(frozen=True, slots=True)
class Settled:
    """Steps whose logits will not change any more.

    Attributes:
        times_seconds: float64 ``[N]``.
        logits: float32 ``[N, C]``.
        sound: bool ``[N]``, whether there was sound.
        interpolated: bool ``[N]``, whether the step's own frame was left out; ``None`` where none was.
    """

    times_seconds: NDArray[np.float64]
    logits: NDArray[np.float32]
    sound: NDArray[np.bool_]
    interpolated: NDArray[np.bool_] | None = None

    def steps(self) -> list[SettledStep]:
        """The same, a step at a time."""
        left_out = np.zeros(len(self.sound), np.bool_) if self.interpolated is None else self.interpolated
        columns = (self.times_seconds.tolist(), self.logits, self.sound.tolist(), left_out.tolist())
        return list(map(SettledStep, *columns))


def side_by_side(outputs: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Outputs of the fusion for one window, ``[T, C]`` and ``[T, K]`` each, as one table."""
    return outputs[0] if len(outputs) == 1 else np.concatenate(outputs, axis=1)


class Stitcher:
    """Average overlapping windows; a step counts for more the further it is from a window's edge."""

    def __init__(self, steps: int) -> None:
        ramp = np.arange(1, steps + 1, dtype=np.float32)
        self._weight = np.minimum(ramp, ramp[::-1])[:, None]
        self._first = 0  # first step that isn't settled
        self._sum: NDArray[np.float32] | None = None  # [N, C + 1] weighted logits, and the weights

    def add(self, window: Window, logits: NDArray[np.float32]) -> Settled:
        """Add a window's logits, float32 ``[T, C]``; return the steps that it settles.

        Raises:
            MismatchError: A logit is NaN or infinite.
        """
        if not np.isfinite(logits).all():
            raise MismatchError(
                "the model gave logits that are not finite: its weights are broken, or a precision "
                "overflows; try another --precision, or export the bundle again"
            )
        skip = max(self._first - window.first_step, 0)
        weight = self._weight[skip : window.steps]
        weighted = np.concatenate([logits[skip : window.steps] * weight, weight], axis=1)
        start = window.first_step + skip - self._first
        total = self._grow(start + len(weighted), weighted.shape[1])
        total[start : start + len(weighted)] += weighted
        return self._settle(window, total)

    def _grow(self, steps: int, width: int) -> NDArray[np.float32]:
        if self._sum is None:
            self._sum = np.zeros((0, width), np.float32)
        missing = max(steps - len(self._sum), 0)
        self._sum = np.pad(self._sum, ((0, missing), (0, 0)))
        return self._sum

    def _settle(self, window: Window, total: NDArray[np.float32]) -> Settled:
        count = window.settles - self._first
        within = slice(self._first - window.first_step, window.settles - window.first_step)
        done, self._sum = total[:count], total[count:]
        self._first = window.settles
        per_step = window.audio_mask.reshape(len(window.times_seconds), -1)
        sound = np.asarray(per_step.max(axis=1)[within] > 0)
        left_out = None if window.interpolated is None else window.interpolated[within]
        return Settled(window.times_seconds[within], done[:, :-1] / done[:, -1:], sound, left_out)


class Smoother:
    """Moving average of the logits over time: centred, which delays rows by half its length, or causal.

    Args:
        seconds: Its length; the causal half covers the past half alone.
        causal: Whether to leave out the future.
    """

    def __init__(self, seconds: float, *, causal: bool = False) -> None:
        self._half = seconds / 2.0
        self._ahead = 0.0 if causal else self._half
        self._steps: deque[SettledStep] = deque()
        self._next = 0  # position in the queue of the next step to give out

    def add(self, settled: Settled) -> list[SettledStep]:
        """Add steps; return those whose neighbourhood is complete."""
        steps = settled.steps()
        if self._half == 0.0:
            return steps
        self._steps.extend(steps)
        return self._give(until=self._steps[-1].time_seconds - self._ahead if self._steps else -np.inf)

    def finish(self) -> list[SettledStep]:
        """No more steps will come: return the rest."""
        return self._give(until=np.inf)

    def _give(self, until: float) -> list[SettledStep]:
        given = []
        while self._next < len(self._steps) and self._steps[self._next].time_seconds <= until:
            step = self._steps[self._next]
            given.append(step._replace(logits=self._mean_around(step.time_seconds)))
            self._next += 1
        return given

    def _mean_around(self, time: float) -> NDArray[np.float32]:
        while self._steps[0].time_seconds < time - self._half:
            self._steps.popleft()
            self._next -= 1
        near = [step.logits for step in self._steps if step.time_seconds <= time + self._ahead]
        return np.asarray(np.mean(near, axis=0), np.float32)


@dataclass(frozen=True, slots=True)
class FrameRow:
    """A decoded frame that waits for its logits."""

    index: int
    time_seconds: float
    face: bool
    box: Box | None


class RowBuilder:
    """Give each decoded frame the logits at its time, interpolated between steps.

    Args:
        labels: Class names in the order of the logits.
        decoding: Smoothing and prior correction.
        tasks: What stands behind the logits: it is stitched, smoothed and interpolated as they are.
        causal: Whether to smooth over the past alone.
        thinned: Whether frames may be left out, and rows say which were.
    """

    def __init__(
        self,
        labels: tuple[str, ...],
        decoding: Decoding,
        tasks: Tasks = NO_TASKS,
        *,
        causal: bool = False,
        thinned: bool = False,
    ) -> None:
        self._labels = labels
        self._tasks = tasks
        self._thinned = thinned
        self._bias = np.asarray(decoding.logit_bias or np.zeros(len(labels)), np.float32)
        self._smoother = Smoother(decoding.smoothing_seconds, causal=causal)
        self._frames: deque[FrameRow] = deque()
        self._steps: deque[SettledStep] = deque()
        self._has_frames = False
        self._count = 0

    def add_frame(self, frame: FrameRow) -> None:
        """Expect a row for this frame."""
        self._has_frames = True
        self._frames.append(frame)

    def add(self, settled: Settled) -> list[Prediction]:
        """Add settled steps; return the rows that they complete."""
        return self._rows(self._smoother.add(settled), last=False)

    def finish(self) -> list[Prediction]:
        """No more steps will come: return the remaining rows."""
        return self._rows(self._smoother.finish(), last=True)

    def _rows(self, steps: list[SettledStep], *, last: bool) -> list[Prediction]:
        if not self._has_frames:
            return [self._step_row(step) for step in steps]
        self._steps.extend(steps)
        rows = []
        until = np.inf if last else -np.inf if not self._steps else self._steps[-1].time_seconds
        while self._frames and self._steps and self._frames[0].time_seconds <= until:
            rows.append(self._frame_row(self._frames.popleft()))
        return rows

    def _step_row(self, step: SettledStep) -> Prediction:
        self._count += 1
        return self._row(FrameRow(self._count - 1, step.time_seconds, face=False, box=None), step)

    def _frame_row(self, frame: FrameRow) -> Prediction:
        while len(self._steps) > 1 and self._steps[1].time_seconds <= frame.time_seconds:
            self._steps.popleft()
        before, after = self._steps[0], self._steps[min(1, len(self._steps) - 1)]
        span = after.time_seconds - before.time_seconds
        share = min(max((frame.time_seconds - before.time_seconds) / span, 0.0), 1.0) if span > 0 else 0.0
        nearest = before if share < 0.5 else after
        return self._row(frame, nearest._replace(logits=(1 - share) * before.logits + share * after.logits))

    def _row(self, frame: FrameRow, step: SettledStep) -> Prediction:
        label, probabilities = self._decide(step.logits[: len(self._labels)])
        return Prediction(
            frame.index,
            frame.time_seconds,
            label,
            probabilities,
            frame.face,
            step.sound,
            frame.box,
            self._labels,
            interpolated=step.interpolated if self._thinned else None,
            measures=self._measures(step.logits),
        )

    def _measures(self, outputs: NDArray[np.float32]) -> dict[str, float]:
        """What the tasks say, by name, of a step's outputs ``[C + K]``; action units as probabilities."""
        if not self._tasks:
            return {}
        values = outputs[len(self._labels) :].astype(np.float64)
        units = len(self._tasks.action_units)
        first = len(values) - units
        values[first:] = 1.0 / (1.0 + np.exp(-values[first:]))
        return dict(zip(self._tasks.measures, values.tolist(), strict=True))

    def _decide(self, logits: NDArray[np.float32]) -> tuple[str, NDArray[np.float32]]:
        shifted = logits + self._bias
        exp = np.exp(shifted - shifted.max())
        return self._labels[int(exp.argmax())], np.asarray(exp / exp.sum(), np.float32)
