"""Options that the training programs share."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from emorec_rt.errors import EmorecError, UsageError
from emorec_train.dataset_clips import DataRequest

F = TypeVar("F", bound=Callable[..., None])


def data_options(function: F) -> F:
    """``--data``, ``--labels`` and ``--speaker-pattern``; ``data_request`` makes one thing of them."""
    for option in (
        click.option(
            "--speaker-pattern", help="folder: regular expression that finds the speaker in a path."
        ),
        click.option("--labels", help="Labels of the model, with commas.  [default: those of the data]"),
        click.option(
            "--data",
            multiple=True,
            metavar="NAME:PATH",
            help="A data set: affwild2, ravdess, cremad, meld, folder or csv, and where it lies; repeatable.",
        ),
    ):
        function = option(function)
    return function


def data_request(
    data: tuple[str, ...], labels: str | None, speaker_pattern: str | None
) -> DataRequest | None:
    """What the options ask for; ``None`` without ``--data``.

    Raises:
        UsageError: Options of data without data.
    """
    if not data and (labels or speaker_pattern):
        raise UsageError("--labels and --speaker-pattern go with --data")
    names = tuple(name.strip() for name in labels.split(",")) if labels else ()
    return DataRequest(data, names, speaker_pattern) if data else None


def path_option(*names: str, help: str) -> Callable[[F], F]:  # noqa: A002 - click's own word
    """An option that takes a folder."""
    return click.option(*names, type=click.Path(path_type=Path, file_okay=False), help=help)


def exits(function: F) -> F:
    """Errors of this project end the program with a line: 2 where the call is wrong, 1 for the rest."""

    @functools.wraps(function)
    def guarded(*args: object, **keywords: object) -> None:
        try:
            function(*args, **keywords)
        except EmorecError as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2 if isinstance(error, UsageError) else 1)

    return guarded  # type: ignore[return-value]
