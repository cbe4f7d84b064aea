"""Printing: lines for people go to standard error, results where they were asked for."""

from __future__ import annotations

import math
import os
import sys
from typing import Any, Final, TextIO

import click

from emorec_rt.errors import printable

_MOST_FACES: Final = 1000
_ERASE_LINE: Final = "\r\x1b[2K"


class FiniteRange(click.FloatRange):
    """A number in a range; ``nan``, which compares with nothing, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse anything that is not a number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class FacesType(click.ParamType):  # type: ignore[type-arg]  # generic in newer releases alone
    """``main``, ``all`` or a number."""

    name = "main|all|N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse anything else."""
        if value in ("main", "all"):
            return value
        if not str(value).isascii() or not str(value).isdigit() or not 1 <= int(value) <= _MOST_FACES:
            self.fail(f"{value!r} is not main, all, or a number from 1 to {_MOST_FACES}.", param, ctx)
        return int(value)


def say(text: str) -> None:
    """Print lines on standard error; a progress bar that stands there gives way to them."""
    click.echo(f"{_ERASE_LINE if is_terminal(sys.stderr) else ''}{_lines(text)}", err=True)


def tell(text: str) -> None:
    """Print lines that were asked for on standard output."""
    click.echo(_lines(text))


def is_terminal(stream: TextIO | None) -> bool:
    """Say whether a stream is a terminal; a closed one is ``None``, and none."""
    return stream is not None and stream.isatty()


def open_closed_streams() -> None:
    """Let standard streams that are closed (``>&-``) lead nowhere, or the next file would take their number.

    What a library prints would go into that file then.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) < 3:  # the lowest free number
        pass
    os.close(descriptor)


def _lines(text: str) -> str:
    return "\n".join(map(printable, text.split("\n")))


def silent(_: str) -> None:
    """Print nothing, where ``--quiet`` asks for it."""
