"""The log of a training run for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from emorec_rt.errors import EmorecError, OutputError
from emorec_train.training.state import Epoch


class Board(Protocol):
    """Takes the lines of the log."""

    def __call__(self, epoch: Epoch) -> None:
        """One more epoch."""
        ...


@contextmanager
def open_board(folder: Path | None) -> Iterator[Board]:
    """Curves of loss, learning rate and validation scores by epoch, a tag for each mode.

    Raises:
        TensorBoardUnavailableError: TensorBoard isn't installed.
        OutputError: The folder can't be written; the board says so as well.
    """
    if folder is None:
        yield lambda epoch: None  # noqa: ARG005
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TensorBoardUnavailableError from error
    with _explained(folder):
        writer = SummaryWriter(str(folder))

    def add(epoch: Epoch) -> None:
        with _explained(folder):
            for name in ("loss", "learning_rate", "macro_f1"):
                writer.add_scalar(f"{epoch.mode}/{name}", getattr(epoch, name), epoch.epoch)
            writer.flush()

    try:
        yield add
    finally:
        with _explained(folder):
            writer.close()


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(folder, f"can't be written: {error.strerror or error}") from error


class TensorBoardUnavailableError(EmorecError, ImportError):
    """``--tensorboard`` without the package."""

    def __init__(self) -> None:
        super().__init__(
            "--tensorboard needs tensorboard, which is not installed; run: pip install 'emorec[train]'"
        )
