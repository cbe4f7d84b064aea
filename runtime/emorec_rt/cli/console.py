"""What the command line prints for people goes to standard error; results go where they were asked for."""

from __future__ import annotations

import math
from typing import Any

import click


class FiniteRange(click.FloatRange):
    """A number in a range; ``nan``, which compares with nothing, is in none."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Refuse what is no number."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


def say(line: str) -> None:
    """Print a line on standard error."""
    click.echo(line, err=True)


def silent(_: str) -> None:
    """Print nothing, where ``--quiet`` asks for it."""
