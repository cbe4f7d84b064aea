"""What a stopped training run goes on from: one safetensors file a fusion, its JSON in the file's header.

Weights, moments of the optimiser, moving average, best weights so far, states of the random generators, and
how far it had come. Nothing is pickled. A file appears whole or not at all.
"""

from __future__ import annotations

import csv
import io
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from emorec_rt.errors import OutputError
from emorec_train.metrics import Scores
from emorec_train.model.checkpoint import CheckpointError

_KEY: Final = "emorec"
_AGAIN: Final = "train again without --resume"


class EpochRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the log.

    Attributes:
        mode: Of the fusion.
        epoch: From 1.
        loss: Mean over the epoch's steps.
        learning_rate: Of the epoch's last step.
        macro_f1: On validation clips.
        accuracy: Likewise.
    """

    mode: str
    epoch: int
    loss: float
    learning_rate: float
    macro_f1: float
    accuracy: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far training had come.

    Attributes:
        fingerprint: Of settings, model and data; another run can't go on from here.
        steps: Optimiser steps taken.
        rows: A row for each epoch that is done.
        best: Scores of the best epoch.
        stale: Epochs since then.
        scale: Of the loss (float16 only).
        steps_to_growth: Steps since the scale last changed.
    """

    fingerprint: str
    steps: int
    rows: tuple[EpochRow, ...]
    best: Scores
    stale: int
    scale: float = 0.0
    steps_to_growth: int = 0


@dataclass(frozen=True, slots=True)
class State:
    """Progress and tensors, named ``<part>.<name>``."""

    progress: Progress
    tensors: dict[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, by their names in it."""
        prefix = name + "."
        return {k.removeprefix(prefix): v for k, v in self.tensors.items() if k.startswith(prefix)}


def part_of(name: str, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under the names that ``State.part`` takes apart; copies, on the CPU."""
    return {f"{name}.{key}": value.detach().cpu().clone().contiguous() for key, value in tensors.items()}


def write_state(path: Path, state: State) -> None:
    """Write a state and, beside it, its log as csv.

    Raises:
        OutputError: The disk is full, or the folder can't be written; what was there before is still there.
    """
    header = {_KEY: msgspec.json.encode(state.progress).decode()}
    write_whole(path, save(state.tensors, metadata=header))
    write_whole(path.with_suffix(".csv"), log_csv(state.progress.rows))


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place, then rename it.

    Raises:
        OutputError: It can't be written.
    """
    scratch: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
        scratch = Path(name)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        scratch.replace(path)
    except OSError as error:
        if scratch is not None:
            scratch.unlink(missing_ok=True)
        reason = error.strerror or error
        raise OutputError(path, f"can't be written: {reason}; make room, then go on with --resume") from error


def read_state(path: Path, fingerprint: str) -> State | None:
    """The state of a stopped run; ``None`` if there is no file.

    Raises:
        CheckpointError: It is damaged, or of another run.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_KEY, "")
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
        progress = msgspec.json.decode(header, type=Progress)
    except (SafetensorError, OSError, msgspec.DecodeError) as error:
        raise CheckpointError(path, f"is no state of a training run: {error}; {_AGAIN}") from error
    if progress.fingerprint != fingerprint:
        raise CheckpointError(path, f"is of other settings, data or seed; give those, or {_AGAIN}")
    return State(progress, tensors)


def log_csv(rows: Sequence[EpochRow]) -> bytes:
    """The log as csv, a header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, EpochRow.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    writer.writerows(msgspec.to_builtins(row) for row in rows)
    return text.getvalue().encode()
