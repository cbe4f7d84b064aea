"""TensorRT's log, kept in memory: its last errors become the reason in ours, its layer table our report."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache

from emorec_rt.engines.tensorrt.api import ILogger, TensorRT, import_tensorrt
from emorec_rt.errors import EngineError, engine_error

KEPT_ERRORS = 3
REMEMBERED = ("Layers:", "Total Activation Memory:")
"""Beginnings of the notes that are kept. TensorRT for RTX ends a detailed build with its layer table."""


@dataclass(frozen=True, slots=True)
class Log:
    """Complaints of TensorRT since it was last asked.

    Attributes:
        logger: The object that TensorRT's classes take.
        complaints: Its latest errors, oldest first.
        notes: The latest of each kind in ``REMEMBERED``, without its beginning.
    """

    logger: ILogger
    complaints: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT_ERRORS))
    notes: dict[str, str] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget all."""
        self.complaints.clear()
        self.notes.clear()

    def error(self, what: str, advice: str) -> EngineError:
        """The error for a call that failed, with the complaints as its reason; forgets them."""
        detail = " | ".join(self.complaints)
        self.complaints.clear()
        return engine_error(what, detail, advice)


@lru_cache(maxsize=1)
def shared_log() -> Log:
    """The process's one log: TensorRT keeps the first logger that it is given for everything after."""
    return make_log(import_tensorrt())


def make_log(trt: TensorRT) -> Log:
    """A log of its own, for ``shared_log`` and tests."""
    complaints: deque[str] = deque(maxlen=KEPT_ERRORS)
    notes: dict[str, str] = {}

    class _Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: object, msg: str) -> None:
            if severity in (trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR):
                complaints.append(" ".join(msg.split()))
            elif beginning := next((known for known in REMEMBERED if msg.startswith(known)), None):
                notes[beginning] = msg.removeprefix(beginning)

    return Log(_Logger(), complaints, notes)
