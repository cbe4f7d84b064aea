"""A build's progress, told to a callback that may stop it."""

from __future__ import annotations

from emorec_rt.engines.base import Progress
from emorec_rt.engines.tensorrt.api import IProgressMonitor, TensorRT


class ProgressRelay:
    """Keeps the phases that run and passes each step on.

    An exception of the callback (also Ctrl-C) must not fly through TensorRT's C++ frames: it is kept, the
    build stopped, and ``finish`` raises it.
    """

    def __init__(self, callback: Progress) -> None:
        self._callback = callback
        self._phases: dict[str, tuple[str, int]] = {}
        self._error: BaseException | None = None
        self.stopped = False

    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        """A phase begins, possibly inside another."""
        parent = self._phases.get(parent_phase or "", ("", 0))[0]
        path = f"{parent} > {phase_name}" if parent else phase_name
        self._phases[phase_name] = (path, num_steps)
        self._tell(path, 0, num_steps)

    def step_complete(self, phase_name: str, step: int) -> bool:
        """A step, counted from 0, is done. Returns whether to go on."""
        path, steps = self._phases.get(phase_name, (phase_name, step + 1))
        return self._tell(path, step + 1, steps)

    def phase_finish(self, phase_name: str) -> None:
        """A phase is over, or was given up."""
        self._phases.pop(phase_name, None)

    def finish(self) -> None:
        """Raise what the callback raised, if it did."""
        if self._error:
            raise self._error

    def _tell(self, path: str, done: int, steps: int) -> bool:
        if self.stopped:
            return False
        try:
            self.stopped = self._callback(path, done, steps) is False
        except BaseException as error:  # noqa: BLE001 - raised again by finish, outside of C++
            self._error, self.stopped = error, True
        return not self.stopped


def make_monitor(trt: TensorRT, relay: ProgressRelay) -> IProgressMonitor:
    """TensorRT's monitor for a relay. Both must live until the build is over."""

    class _Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            relay.phase_start(phase_name, parent_phase, num_steps)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return relay.step_complete(phase_name, step)

        def phase_finish(self, phase_name: str) -> None:
            relay.phase_finish(phase_name)

    return _Monitor()
