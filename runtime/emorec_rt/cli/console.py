"""What the command line prints for people goes to standard error; results go where they were asked for."""

from __future__ import annotations

import math
import sys
from typing import Any, Final

import click

_ERASE_LINE: Final = "\r\x1b[2K"


class FiniteRange(click.FloatRange):
    """A number in a range; ``nan``, which compares with nothing, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def say(line: str) -> None:
    """Print a line on standard error; a progress bar that stands there gives way to it."""
    click.echo(f"{_ERASE_LINE if sys.stderr.isatty() else ''}{line}", err=True)


def silent(_: str) -> None:
    """Print nothing, where ``--quiet`` asks for it."""
