"""``emorec-rt``: one file a command. Heavy imports wait until a command runs, so that ``--help`` is quick."""

from __future__ import annotations

import click

from emorec_rt import __version__
from emorec_rt.cli.bench import bench
from emorec_rt.cli.build import build
from emorec_rt.cli.console import open_closed_streams
from emorec_rt.cli.doctor.command import doctor as doctor_command
from emorec_rt.cli.exits import exit_codes
from emorec_rt.cli.groups import VideoFirst
from emorec_rt.cli.info import info
from emorec_rt.cli.run import run
from emorec_rt.cli.serve.command import serve


@click.group(
    cls=VideoFirst, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(__version__, prog_name="emorec-rt")
def cli() -> None:
    """Emotions over time from video with sound; a file that is named like a command is written ``./name``."""


for command in (run, info, doctor_command, bench, build, serve):
    cli.add_command(command)


@exit_codes()
def main() -> None:
    """Run the command line; errors become one line and an exit code."""
    open_closed_streams()
    cli.main(prog_name="emorec-rt")
