"""Options for many inputs in one call."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

MOST_JOBS: Final = 256


class Jobs(click.ParamType):
    """A number of processes, or ``auto``, which becomes ``None``."""

    name = "integer or auto"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Understand what was typed."""
        if value == "auto" or value is None:
            return None
        return int(click.IntRange(1, MOST_JOBS).convert(value, param, ctx))


_OPTIONS: Final = (
    click.option(
        "--list",
        "lists",
        multiple=True,
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Further inputs, one a line, relative to FILE's folder; as @FILE.",
    ),
    click.option(
        "--resume",
        is_flag=True,
        help="Skip inputs whose results are there already, made from the same content with the same settings; "
        "give it from the start. Keeps .emorec-done.jsonl beside the results.",
    ),
    click.option(
        "--jobs",
        type=Jobs(),
        default="1",
        show_default=True,
        metavar="N",
        help="Processes that share the inputs, and the threads; auto takes one for each two cores. Batches fill "
        "across files within one process alone.",
    ),
    click.option(
        "--summary",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Write what came of each input, as .json or .csv.",
    ),
)


def folder_options(command: Command) -> Command:
    """Give a command these options."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)
