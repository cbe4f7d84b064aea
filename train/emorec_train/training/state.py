"""State of a training run on disk: a resumed run ends with the weights of one that never stopped.

It holds weights, moments of the optimiser, moving average, best weights so far, states of the random
generators and progress. Nothing is pickled. A file appears whole or not at all.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from emorec_rt.files import write_whole
from emorec_train.evaluation.metrics import Scores
from emorec_train.model.checkpoint_parts import CheckpointError
from emorec_train.training.loop import OptimiserProgress

_KEY: Final = "emorec"
_AGAIN: Final = "train again without --resume"


def state_folder(out: Path) -> Path:
    """Folder of the state for ``--resume``; it exists until the results are written to ``out``."""
    return out.with_name(out.name + ".state")


def remove_state(folder: Path) -> None:
    """Remove the state of a run, and nothing else that may lie in the folder."""
    for file in folder.glob("*.safetensors"):
        file.unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


class Epoch(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the training's log.

    Attributes:
        mode: Of the fusion.
        epoch: Counted from 1.
        loss: Mean over its batches.
        learning_rate: At its end.
        macro_f1: On validation clips.
    """

    mode: str
    epoch: int
    loss: float
    learning_rate: float
    macro_f1: float


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """Progress of a training run.

    Attributes:
        fingerprint: Hash of settings, model and data; only the same run can be resumed.
        optimiser: Progress of the optimiser.
        log: An entry for each finished epoch.
        best: Scores of the best epoch.
    """

    fingerprint: str
    optimiser: OptimiserProgress
    log: tuple[Epoch, ...]
    best: Scores


@dataclass(frozen=True, slots=True)
class State:
    """Progress and tensors, named ``<part>.<name>``."""

    progress: Progress
    tensors: dict[str, Tensor]

    def part(self, name: str) -> dict[str, Tensor]:
        """The tensors of one part, by their names in it."""
        return part_of(self.tensors, name)


def part_of(tensors: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors of one part, by their names in it."""
    prefix = name + "."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def flatten_parts(parts: Mapping[str, Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Copies of tensors on the CPU, named ``<part>.<name>``."""
    return {
        f"{part}.{name}": value.detach().cpu().clone().contiguous()
        for part, tensors in parts.items()
        for name, value in tensors.items()
    }


def write_state(path: Path, state: State) -> None:
    """Write a state.

    Raises:
        OutputError: The disk is full, or the folder can't be written; what was there before is still there.
    """
    header = {_KEY: msgspec.json.encode(state.progress).decode()}
    write_whole(path, save(state.tensors, metadata=header))


def read_state(path: Path, fingerprint: str) -> State | None:
    """Read the state of a stopped run; ``None`` if there is no file.

    Raises:
        CheckpointError: It is damaged, or of another run.
    """
    if not path.is_file():
        return None
    header, tensors = _read(path)
    try:
        progress = msgspec.json.decode(header, type=Progress)
    except msgspec.DecodeError as error:
        raise _unreadable(path, error) from error
    if progress.fingerprint != fingerprint:
        raise _of_another_run(path)
    return State(progress, tensors)


def write_modules(path: Path, fingerprint: str, modules: Mapping[str, nn.Module]) -> None:
    """Write trained modules, so that a resumed run need not train them again.

    Raises:
        OutputError: The disk is full, or the folder can't be written.
    """
    tensors = flatten_parts({name: module.state_dict() for name, module in modules.items()})
    write_whole(path, save(tensors, metadata={_KEY: fingerprint}))


def read_modules(path: Path, fingerprint: str, modules: Mapping[str, nn.Module]) -> bool:
    """Load modules that a stopped run has trained. Returns False if there is no file.

    Raises:
        CheckpointError: It is damaged, or of another run.
    """
    if not path.is_file():
        return False
    kept, tensors = _read(path)
    if kept != fingerprint:
        raise _of_another_run(path)
    for name, module in modules.items():
        module.load_state_dict(part_of(tensors, name))
    return True


def _read(path: Path) -> tuple[str, dict[str, Tensor]]:
    """Header and tensors."""
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(_KEY, "")
            return header, {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(path, f"is not a readable state of a training run: {error}; {_AGAIN}")


def _of_another_run(path: Path) -> CheckpointError:
    return CheckpointError(path, f"is of other settings, data or seed; give those, or {_AGAIN}")


def log_csv(log: Iterable[Epoch]) -> str:
    """The log as csv, a header first."""
    text = io.StringIO()
    writer = csv.DictWriter(text, Epoch.__struct_fields__, lineterminator="\n")
    writer.writeheader()
    writer.writerows(msgspec.to_builtins(epoch) for epoch in log)
    return text.getvalue()
