"""Events of a run: an input was opened, a row is final, an input is done or has failed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from emorec_rt.errors import MediaError
from emorec_rt.windows.prediction import Prediction


@dataclass(frozen=True, slots=True)
class Started:
    """An input was opened.

    Attributes:
        source: The input.
        duration_seconds: What its header says, ``None`` where it doesn't.
        live: Whether it comes in real time.
    """

    source: Path
    duration_seconds: float | None
    live: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """A prediction of one input; rows of one input come in order."""

    source: Path
    prediction: Prediction


@dataclass(frozen=True, slots=True)
class Done:
    """All rows of an input have been given; ``warnings`` says what was damaged."""

    source: Path
    rows: int
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Failed:
    """An input that can't be read; rows it may have given are incomplete."""

    source: Path
    error: MediaError


Event = Started | Row | Done | Failed
