"""Options for many inputs in one call, and for doing less on each."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import reduce
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from emorec_rt.cli.console import FiniteRange
from emorec_rt.machine.nvidia import VISIBLE_GPUS

Command = TypeVar("Command", bound=Callable[..., Any])

MOST_JOBS: Final = 256


def _processes(ctx: click.Context, param: click.Parameter, value: str) -> int | None:
    """A number, or ``None`` for ``auto``."""
    if value == "auto":
        return None
    count: int = click.IntRange(1, MOST_JOBS)(value, param, ctx)
    return count


def _choose_gpus(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    """Leave these GPUs visible, before any library looks for one."""
    if value is None:
        return
    numbers = [part.strip() for part in value.split(",")]
    if not all(number.isdecimal() for number in numbers) or len(set(numbers)) < len(numbers):
        raise click.BadParameter("give numbers with commas between them, such as 0,2", ctx, param)
    os.environ[VISIBLE_GPUS] = ",".join(numbers)


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
        help="Skip inputs whose results are there already, made from the same content with the same "
        "settings; give it from the start. Keeps .emorec-done.jsonl beside the results.",
    ),
    click.option(
        "--jobs",
        callback=_processes,
        default="1",
        show_default=True,
        metavar="N",
        help="Processes that share the inputs, and the threads; auto takes one for each two cores. Batches "
        "fill across files within one process alone.",
    ),
    click.option(
        "--gpus",
        callback=_choose_gpus,
        expose_value=False,
        metavar="N,N",
        help="NVIDIA GPUs to use, by the driver's numbers; processes of --jobs are spread over them.  "
        "[default: all, or what CUDA_VISIBLE_DEVICES says]",
    ),
    click.option(
        "--vision-fps",
        type=FiniteRange(0.2, 1000.0),
        metavar="N",
        help="Fast mode: encode at most N frames a second, and interpolate between them. Rows stay one for "
        "each frame.  [default: every frame]",
    ),
    click.option(
        "--keep-up",
        type=FiniteRange(0.1, 1000.0),
        is_flag=False,
        flag_value=1.0,
        metavar="[SPEED]",
        help="Leave out frames where a file would take longer than its length by SPEED, interpolate them and "
        "flag their rows. Live sources always keep up. Without a number it stands after the files.  "
        "[1.0 where none is given]",
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
