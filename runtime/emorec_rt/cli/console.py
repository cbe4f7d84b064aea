"""What the command line prints for people goes to standard error; results go where they were asked for."""

from __future__ import annotations

import click


def say(line: str) -> None:
    """Print a line on standard error."""
    click.echo(line, err=True)
