"""The log of a training run for TensorBoard."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from emorec_rt.errors import EmorecError
from emorec_train.state import Epoch


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
    """
    if folder is None:
        yield lambda epoch: None  # noqa: ARG005
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise TensorBoardUnavailableError from error
    with SummaryWriter(str(folder)) as writer:

        def add(epoch: Epoch) -> None:
            for name in ("loss", "learning_rate", "macro_f1"):
                writer.add_scalar(f"{epoch.mode}/{name}", getattr(epoch, name), epoch.epoch)
            writer.flush()

        yield add


class TensorBoardUnavailableError(EmorecError, ImportError):
    """``--tensorboard`` without the package."""

    def __init__(self) -> None:
        super().__init__(
            "--tensorboard needs tensorboard, which is not installed; run: pip install 'emorec[train]'"
        )
