"""Build a bundle of engines from a checkpoint.

The newest checkpoint in runs/, in FP32 and INT8, calibrated on its own training clips::

    python export/build_engine.py --int8

With TensorRT plans for the GPU of this machine (elsewhere, later: ``emorec-rt build BUNDLE``)::

    python export/build_engine.py --int8 --backend tensorrt --workspace 2048

A certain checkpoint, calibrated on recordings (``calibration/collect.py`` writes the ranges)::

    python export/build_engine.py --int8 --checkpoint runs/mine --calib ranges.json --out engines/mine
"""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emorec_rt.cli.building import BuildProgress, build_options, plan_options
from emorec_rt.errors import EmorecError, UsageError

if TYPE_CHECKING:
    from emorec_export.backends import Selection
    from emorec_export.build import Request
    from emorec_rt.engines.tensorrt.options import BuildOptions

ROOT = Path(__file__).resolve().parent.parent


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option(
    "--checkpoint",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the checkpoint.  [default: the newest in runs/]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the bundle.  [default: engines/NAME of the checkpoint]",
)
@click.option("--int8", is_flag=True, help="Build INT8 graphs beside the FP32 ones.")
@click.option(
    "--calib",
    type=click.Path(path_type=Path, dir_okay=False),
    help="ranges.json for INT8.  [default: calibrate on the checkpoint's training clips]",
)
@click.option(
    "--calib-clips",
    type=click.IntRange(min=1),
    default=24,
    show_default=True,
    help="Training clips to calibrate on, without --calib.",
)
@click.option(
    "--test-clips",
    type=click.IntRange(min=1),
    default=12,
    show_default=True,
    help="Held-out clips that every variant is compared on.",
)
@click.option(
    "--max-drop",
    type=click.FloatRange(min=0.0, max=1.0),
    default=0.01,
    show_default=True,
    help="Macro-F1 that a variant may lose; more, and nothing is written.",
)
@click.option("--notice", default="", help="A line that is shown to whoever runs the bundle.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice(["onnxruntime", "openvino", "tensorrt", "torch-tensorrt", "all"]),
    help="onnxruntime, openvino: compare the graphs there. tensorrt: build plans for this machine's GPU. "
    "torch-tensorrt: compile the modules for it. May be given several times.",
)
@plan_options
def main(
    checkpoint: Path | None,
    out: Path | None,
    int8: bool,
    calib: Path | None,
    calib_clips: int,
    test_clips: int,
    max_drop: float,
    notice: str,
    backends: tuple[str, ...],
    **options: Any,
) -> None:
    """Build, print the report and the folder, exit 0; 2 when the call is wrong, 1 for any other failure."""
    # A terminated build cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        if calib is not None and not int8:
            raise UsageError("--calib is for INT8; add --int8")
        how = build_options(**options)
        folder = _build(
            checkpoint, out, int8, calib, calib_clips, test_clips, max_drop, notice, backends, how
        )
    except EmorecError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2 if isinstance(error, UsageError) else 1)
    click.echo(folder)


def _build(
    checkpoint: Path | None,
    out: Path | None,
    int8: bool,
    calib: Path | None,
    calib_clips: int,
    test_clips: int,
    max_drop: float,
    notice: str,
    backends: tuple[str, ...],
    options: BuildOptions | None,
) -> Path:
    from emorec_export.bundle import check_target

    if out is not None:
        check_target(out)  # before the imports that take seconds

    from emorec_export.backends import select
    from emorec_export.build import Request
    from emorec_train.model.checkpoint import newest_checkpoint

    selection = select(backends)

    source = checkpoint or newest_checkpoint(ROOT / "runs")
    target = out or ROOT / "engines" / source.resolve().name
    check_target(target)
    request = Request(
        out=target,
        name=target.resolve().name,
        int8=int8,
        ranges=calib,
        calibration_clips=calib_clips,
        test_clips=test_clips,
        max_drop=max_drop,
        notice=notice,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
    _run(source, request, selection, options)
    return target


def _run(source: Path, request: Request, selection: Selection, options: BuildOptions | None) -> None:
    from emorec_export.backends import prepare_all
    from emorec_export.build import Console, build
    from emorec_rt.bundle import open_bundle
    from emorec_train.model.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(source)
    build(checkpoint, request, Console(say=_say, track=_track))
    progress = BuildProgress()
    try:
        prepare_all(
            checkpoint,
            open_bundle(request.out),
            selection,
            progress.say,
            options=options,
            progress=progress,
        )
    finally:
        progress.close()


def _say(line: str) -> None:
    click.echo(line, err=True)


def _track(items, label, length):  # type: ignore[no-untyped-def]
    return click.progressbar(items, length=length, label=label, file=sys.stderr)


if __name__ == "__main__":
    main()
