"""``emorec-rt-ray INPUTS --out-dir FOLDER``: ``emorec-rt --jobs`` on a cluster."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import click

from emorec_rt.cli.console import is_terminal, say, silent
from emorec_rt.cli.exits import exit_codes
from emorec_rt.cli.groups import GroupedCommand
from emorec_rt.cli.run import GROUPS
from emorec_rt.cli.run import run as one_machine
from emorec_rt.constants import EXIT_INTERRUPTED

INSTALL: Final = "pip install 'emorec[ray]'"
_ELSEWHERE: Final = {
    *("outs", "out_dir", "jobs", "gpus", "threads", "rtsp_transport", "camera_size", "camera_fps"),
    *("open_seconds", "read_seconds", "reconnect_seconds"),
}
"""Options of ``emorec-rt`` that one machine has, and a cluster hasn't, or has otherwise."""

_CLUSTER: Final = (
    click.Option(
        ["--out-dir"],
        required=True,
        metavar="FOLDER",
        help="Folder that all machines share, or an address: s3://bucket/folder, gs://, hdfs://.",
    ),
    click.Option(
        ["--address"],
        metavar="HOST:PORT",
        help="Head of the cluster; auto finds the one that this machine belongs to.  [default: RAY_ADDRESS, "
        "or else this machine alone]",
    ),
    click.Option(
        ["--workers"],
        type=click.IntRange(1),
        help="Workers at most.  [default: as many as the cluster has room for]",
    ),
    click.Option(
        ["--cpus", "num_cpus"],
        type=click.IntRange(1),
        default=2,
        show_default=True,
        help="Cores of each worker.",
    ),
    click.Option(
        ["--gpus", "num_gpus"],
        type=click.FloatRange(0.0),
        default=0.0,
        show_default=True,
        help="GPUs of each worker; 0.5 lets two share one.",
    ),
)
_GROUPS: Final = {**GROUPS, "Cluster": ("address", "workers", "num_cpus", "num_gpus")}
_PARAMS: Final = [
    *(param for param in one_machine.params if param.name not in _ELSEWHERE),
    *_CLUSTER,
]


def _run(
    inputs: tuple[Path, ...],
    out_dir: str,
    format_names: tuple[str, ...],
    bundle: Path | None,
    lists: tuple[Path, ...],
    resume: bool,
    summary: Path | None,
    quiet: bool,
    address: str | None,
    workers: int | None,
    num_cpus: int,
    num_gpus: float,
    **settings: Any,
) -> None:
    """Write the expression of the main face at every frame of each VIDEO, on many machines.

    VIDEO is a media file, a folder of them or of numbered pictures, a quoted pattern or a list (@list.txt).
    Inputs and the bundle lie where every machine finds them under the same path. Exit code: 0 all done, 1
    some inputs failed, 2 wrong usage.

    \b
    emorec-rt-ray /shared/videos --out-dir /shared/results --resume
    emorec-rt-ray /shared/videos --out-dir s3://bucket/results --address head:6379 --gpus 1 --cpus 8
    """  # noqa: D301 - click reads the \b
    from emorec_ray.cluster import Cluster
    from emorec_ray.running import Call, Ledger, execute, result_folder
    from emorec_rt.cli.execution import tell_notice
    from emorec_rt.cli.reporting import ConsoleReporter
    from emorec_rt.cli.run import close
    from emorec_rt.cli.settings import options_of
    from emorec_rt.jobs.plan import plan
    from emorec_rt.jobs.select import all_lists
    from emorec_rt.jobs.summary import check_summary_file

    note = silent if quiet else say
    with ExitStack() as stack:
        folder, remote = result_folder(out_dir, stack)
        planned = plan(inputs, [], folder, format_names, lists, note)
        if summary is not None:
            check_summary_file(summary, planned, all_lists(inputs, lists))
        cluster = Cluster(address, workers, num_cpus, num_gpus)
        call = Call(planned, folder, remote, bundle, *options_of(settings), resume, cluster)
        if not quiet:
            tell_notice(bundle)
        ledger = Ledger("")
        bar = not quiet and is_terminal(sys.stderr)
        reporter = stack.enter_context(ConsoleReporter(len(planned), ledger, tell_backend=False, bar=bar))
        totals = execute(call, reporter, ledger)
    close(totals, note, summary)


class _Interruptible(GroupedCommand):
    """A command that a Ctrl-C ends with one line."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run it."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            say("interrupted")
            raise SystemExit(EXIT_INTERRUPTED) from None


command = _Interruptible(
    "emorec-rt-ray",
    params=_PARAMS,
    callback=_run,
    groups=_GROUPS,
    help=_run.__doc__,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


@exit_codes(install=INSTALL)
def main() -> None:
    """Run the command; errors become one line and an exit code."""
    command.main(prog_name="emorec-rt-ray")
