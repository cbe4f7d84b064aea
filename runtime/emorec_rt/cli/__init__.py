"""``emorec-rt``: one file a command. Heavy imports wait until a command runs, so that ``--help`` is quick."""

from __future__ import annotations

import click

from emorec_rt import __version__
from emorec_rt.cli.bench import bench
from emorec_rt.cli.build import build
from emorec_rt.cli.console import say
from emorec_rt.cli.doctor import doctor
from emorec_rt.cli.info import info
from emorec_rt.cli.run import run
from emorec_rt.errors import EmorecError, UsageError

EXIT_FAILED = 1
EXIT_USAGE = 2


class VideoFirst(click.Group):
    """A group whose unnamed command is ``run``: ``emorec-rt VIDEO`` needs no verb."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put ``run`` before arguments that start with no command's name."""
        if args and args[0] not in {*self.commands, *ctx.help_option_names, "--version"}:
            args = ["run", *args]
        return super().parse_args(ctx, args)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The unnamed command's own help, then the named ones."""
        run.format_help(click.Context(run, info_name=ctx.info_name), formatter)
        self.format_commands(ctx, formatter)


@click.group(
    cls=VideoFirst, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="emorec-rt")
def cli() -> None:
    """Emotions over time from video with sound; a file that is named like a command is written ``./name``."""


for command in (run, info, doctor, bench, build):
    cli.add_command(command)


def main() -> None:
    """Entry point: errors become one line and an exit code."""
    try:
        cli.main(prog_name="emorec-rt")
    except UsageError as error:
        say(f"error: {error}")
        raise SystemExit(EXIT_USAGE) from None
    except EmorecError as error:
        say(f"error: {error}")
        raise SystemExit(EXIT_FAILED) from None
    except ImportError as error:
        if error.name and error.name.startswith("emorec_rt"):
            raise  # a mistake of this program's, and its traceback says where
        say(f"error: {_missing_library(error)}")
        raise SystemExit(EXIT_FAILED) from None
    except OSError as error:
        say(f"error: {error.filename or 'the system'}: {error.strerror or error}")
        raise SystemExit(EXIT_FAILED) from None


def _missing_library(error: ImportError) -> str:
    package = (error.name or "").partition(".")[0]
    reason = " ".join(str(error).split())
    return f"the library {package or 'needed'} can't be loaded ({reason}); run: pip install 'emorec[cpu]'"
