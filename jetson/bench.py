"""Speed, power and heat in every power mode that the module offers.

    python jetson/bench.py examples/demo.mp4 --out jetson-bench.json

Runs ``emorec-rt bench VIDEO --json`` in each mode of ``/etc/nvpmodel.conf`` while tegrastats is sampled,
then comes back to the mode that was on, also after an error, a Ctrl-C or a kill. Changing modes takes root:
sudo asks for the password at the start, once, or the whole is run as root. A mode that needs a reboot is
skipped and said so; nothing reboots. Use a clip of a minute or more, or the start-up weighs in.
Options after ``--`` go to ``emorec-rt bench``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click
import msgspec

from emorec_jetson.measure import ModeResult, measure_modes, run_program
from emorec_jetson.modes import mode_restored
from emorec_jetson.report import to_json, to_table
from emorec_rt.cli.exits import exit_codes
from emorec_rt.constants import EXIT_FAILED
from emorec_rt.errors import UsageError
from emorec_rt.files import WholeFile
from emorec_rt.machine.jetson import nvpmodel
from emorec_rt.machine.jetson.module import Module, read_module
from emorec_rt.machine.jetson.nvpmodel import PowerMode


def choose(modes: Sequence[PowerMode], names: Sequence[str]) -> list[PowerMode]:
    """Pick modes by number or name; all without a wish.

    Raises:
        UsageError: No such mode here.
    """
    if not names:
        return list(modes)
    known = {key: mode for mode in modes for key in (str(mode.number), mode.name.upper())}
    unknown = [name for name in names if name.upper() not in known]
    if unknown:
        offered = ", ".join(f"{mode.number} {mode.name}" for mode in modes)
        raise UsageError(f"no power mode {unknown[0]} on this module; it has: {offered}")
    return [known[name.upper()] for name in names]


@click.command(help=__doc__.replace("\n    python", "\n\b\n    python", 1) if __doc__ else None)
@click.argument("video", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
@click.option("--mode", "names", multiple=True, help="Only this mode, by number or name; may be repeated.")
@click.option("--out", type=click.Path(path_type=Path), help="JSON file to write.")
@click.option(
    "--settle-seconds",
    type=click.FloatRange(min=0),
    default=10.0,
    show_default=True,
    help="Wait after a change of mode.",
)
@click.option(
    "--interval-ms", type=click.IntRange(min=1), default=200, show_default=True, help="Time between samples."
)
@click.option("--root", default="/", type=click.Path(path_type=Path), hidden=True)
def cli(
    video: Path,
    options: tuple[str, ...],
    names: tuple[str, ...],
    out: Path | None,
    settle_seconds: float,
    interval_ms: int,
    root: Path,
) -> None:
    """Measure, print, save; exit with 1 where no mode could be measured."""
    module = read_module(root)
    modes = choose(nvpmodel.read_modes(root), names)
    record = None if out is None else WholeFile(out)  # refused now rather than after all modes
    results: list[ModeResult] = []
    try:
        with mode_restored(say) as switch:
            results.extend(
                measure_modes(
                    modes,
                    switch,
                    lambda: run_program(video, options),
                    settle_seconds=settle_seconds,
                    interval_ms=interval_ms,
                    root=root,
                    say=say,
                )
            )
    finally:
        if results:  # also those before an interruption
            show(module, video, results, record)
        elif record is not None:
            record.discard()
    if all(result.skipped for result in results):
        raise SystemExit(EXIT_FAILED)


def show(module: Module, video: Path, results: Sequence[ModeResult], record: WholeFile | None) -> None:
    """Print the table and save the record.

    Raises:
        OutputError: It can't be written.
    """
    click.echo(to_table(results))
    if record is None:
        return
    record.write(msgspec.json.format(msgspec.json.encode(to_json(module, video, results)), indent=2) + b"\n")
    record.commit()


def say(line: str) -> None:
    """Print a line on standard error."""
    click.echo(line, err=True)


@exit_codes()
def main() -> None:
    """Entry point: errors become one line and an exit code."""
    cli.main(prog_name="bench.py")


if __name__ == "__main__":
    main()
