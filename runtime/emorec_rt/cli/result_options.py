"""Options that say how results are written."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Any, Final, TypeVar

import click

from emorec_rt.cli.console import FiniteRange

Command = TypeVar("Command", bound=Callable[..., Any])
DEFAULT_MIN_SEGMENT_SECONDS: Final = 0.5
"""As in ``writers.base``, whose imports are too heavy for ``--help``."""

_OPTIONS: Final = (
    click.option(
        "--min-segment",
        "min_segment_seconds",
        type=FiniteRange(0.0, 3600.0),
        default=DEFAULT_MIN_SEGMENT_SECONDS,
        show_default=True,
        metavar="SECONDS",
        help="Shortest segment or subtitle; shorter ones are merged into their neighbours.",
    ),
    click.option(
        "--every",
        "every_seconds",
        type=FiniteRange(0.001, 86_400.0),
        metavar="SECONDS",
        help="A row for each interval in csv, jsonl and parquet, instead of one for each frame.",
    ),
    click.option("--embed", is_flag=True, help="Put the video into the html page, instead of a link to it."),
)
"""Their names are the fields of ``writers.OutputOptions``."""


def result_options(command: Command) -> Command:
    """Give a command these options."""
    return reduce(lambda wrapped, option: option(wrapped), reversed(_OPTIONS), command)
