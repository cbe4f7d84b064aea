"""The command line's own kinds of commands: one that needs no name, and one whose help has headings."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem

from emorec_rt.cli.console import say
from emorec_rt.constants import EXIT_INTERRUPTED
from emorec_rt.errors import UsageError


class GroupedCommand(click.Command):
    """A command whose help lists its options under headings.

    Args:
        groups: Headings, and the options below each; options that are in none stand at the end.
    """

    def __init__(self, *args: Any, groups: Mapping[str, Sequence[str]], **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.groups = groups

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options, a section for each heading."""
        options = [param for param in self.get_params(ctx) if isinstance(param, click.Option)]
        records = {option.name: option.get_help_record(ctx) for option in options}
        grouped = {name for names in self.groups.values() for name in names}
        rest = [name for name in records if name not in grouped]
        for heading, names in {**self.groups, "Other": rest}.items():
            rows = [record for name in names if (record := records.get(name)) is not None]
            if rows:
                with formatter.section(heading):
                    formatter.write_dl(rows)


class VideoFirst(click.Group):
    """A group with a command that needs no name: ``emorec-rt VIDEO`` is ``emorec-rt run VIDEO``."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` before arguments that start with no command's name.

        Raises:
            UsageError: The first one is a command with a slip of the pen.
        """
        if args and args[0] not in {*self.commands, *ctx.help_option_names, "--version"}:
            if not ctx.resilient_parsing:
                refuse_misspelt(args[0], list(self.commands))
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; a Ctrl-C ends it with one line."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("interrupted")
            raise SystemExit(EXIT_INTERRUPTED) from None

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the unnamed command's own help, then the named ones."""
        run = self.commands["run"]
        run.format_help(click.Context(run, info_name=ctx.info_name, help_option_names=[]), formatter)
        with formatter.section("Other"):
            formatter.write_dl(
                [record for param in self.get_params(ctx) if (record := param.get_help_record(ctx))]
            )
        self.format_commands(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete commands, files, and the options of ``run``."""
        run = click.Context(self.commands["run"], parent=ctx)
        offered = [*super().shell_complete(ctx, incomplete), *run.command.shell_complete(run, incomplete)]
        if not incomplete.startswith("-"):
            offered.append(CompletionItem(incomplete, type="file"))
        return list({(item.value, item.type): item for item in offered}.values())


def refuse_misspelt(word: str, commands: Sequence[str]) -> None:
    """Refuse a word that is not a file and looks like a command.

    Raises:
        UsageError: With the command that was meant.
    """
    if not word.isalpha() or os.path.lexists(word):
        return
    for meant in difflib.get_close_matches(
        word, [name for name in commands if name != "run"], n=1, cutoff=0.7
    ):
        raise UsageError(f"{word} is neither a file nor a command; did you mean: emorec-rt {meant}")


def similar_name(path: Path) -> str:
    """Name of the file in the same folder that is most like a missing one; empty if none is."""
    try:
        names = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return ""
    return next(iter(difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)), "")


def complete_backends(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Backends that begin like this."""
    from emorec_rt.engines import AUTO, BACKENDS

    return [name for name in (AUTO, *BACKENDS) if name.startswith(incomplete)]
