"""Build a bundle of engines from a checkpoint.

The newest checkpoint in runs/, in FP32 and INT8, calibrated on its own training clips; INT8 is what runs::

    python export/build_engine.py --int8
    python export/build_engine.py --int8 --only        # without FP32: a quarter of the space

For GPUs as well; FP16 and INT8 together also make the INT8 of TensorRT, which has FP16 scales::

    python export/build_engine.py --fp16 --int8 --fp8

With TensorRT plans for the GPU of this machine (elsewhere, later: ``emorec-rt build BUNDLE``)::

    python export/build_engine.py --fp16 --backend tensorrt --workspace 2048

With engines of TensorRT for RTX, for desktop GPUs from Ampere on; building them takes no GPU::

    python export/build_engine.py --fp16 --int8 --backend tensorrt-rtx --ship-engines

A certain checkpoint, calibrated on recordings, or on ranges that ``calibration/collect.py`` has written::

    python export/build_engine.py --int8 --checkpoint runs/mine --calib recordings/ --out engines/mine
    python export/build_engine.py --int8 --checkpoint runs/mine --calib ranges.json --out engines/mine
"""

from __future__ import annotations

import shlex
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emorec_rt.cli.build_progress import BuildProgress
from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_rt.cli.plan_options import PLAN_OPTIONS, build_options, plan_options
from emorec_rt.constants import PRECISIONS
from emorec_rt.errors import UsageError
from emorec_rt.machine.signals import end_on_signal

if TYPE_CHECKING:
    from emorec_export.backends import Selection
    from emorec_export.build import Request
    from emorec_rt.bundle.manifest import Precision
    from emorec_rt.engines.tensorrt.options import BuildOptions

ROOT = Path(__file__).resolve().parent.parent

CALIBRATION = {
    "calib_method": "method",
    "calib_clips": "calibration_clips",
    "calib_seconds": "calibration_seconds",
}
"""Options of the calibration, and the fields of a request that have their defaults."""


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
@click.option("--fp16", is_flag=True, help="Build FP16 graphs too; FP32 graphs are always built.")
@click.option(
    "--int8", is_flag=True, help="Build INT8 graphs; with --fp16 or for TensorRT also its own form."
)
@click.option("--fp8", is_flag=True, help="Build FP8 graphs, for GPUs from Ada on.")
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="The variant that runs unless another is asked for.  [default: int8 if it is built, else fp32]",
)
@click.option(
    "--only",
    is_flag=True,
    help="Leave FP32 out of the bundle: INT8 alone takes a quarter of its space.",
)
@click.option("--auto-mixed", is_flag=True, help="Keep layers out of INT8 that cost more than --max-drop.")
@click.option(
    "--calib",
    multiple=True,
    metavar="CLIPS|RANGES.JSON",
    type=click.Path(path_type=Path),
    help="For INT8 and FP8: recordings or folders of them, may be given several times; or a ranges.json.  "
    "[default: training clips that the checkpoint records]",
)
@click.option(
    "--calib-method",
    type=click.Choice(["max", "percentile", "entropy"]),
    help="How a range is drawn from values, without a ranges.json.  [default: max]",
)
@click.option(
    "--calib-clips",
    type=click.IntRange(min=1),
    help="Training clips to calibrate on, without --calib: a seeded sample.  [default: 24]",
)
@click.option(
    "--calib-seconds",
    type=click.FloatRange(min=1.0),
    help="How much of the recordings of --calib, at random places spread over all of them.  [default: 600]",
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
@click.option(
    "--data",
    multiple=True,
    metavar="NAME:PATH",
    help="The data sets of the checkpoint, where they have moved since it was trained; see train/run.py.",
)
@click.option("--speaker-pattern", help="Of the data set folder, see train/run.py.")
@click.option("--notice", default="", help="A line that is shown to whoever runs the bundle.")
@click.option(
    "--backend",
    "backends",
    multiple=True,
    type=click.Choice(["onnxruntime", "openvino", "tensorrt", "tensorrt-rtx", "torch-tensorrt", "all"]),
    help="onnxruntime, openvino: compare the graphs there. tensorrt: build plans for this machine's GPU. "
    "tensorrt-rtx: build portable engines, on any machine. "
    "torch-tensorrt: compile the modules for it, in FP32. May be given several times.",
)
@click.option(
    "--ship-engines",
    is_flag=True,
    help="Put the engines of tensorrt-rtx into the bundle; they run with this release alone.",
)
@click.option(
    "--strict", is_flag=True, help="Fail where an engine doesn't compute a product in the asked 8 bits."
)
@plan_options
@exit_codes(INSTALL_WORKSHOP)
def main(
    checkpoint: Path | None,
    out: Path | None,
    fp16: bool,
    int8: bool,
    fp8: bool,
    **options: Any,
) -> None:
    """Build, print the report and the folder, exit 0; 2 when the call is wrong, 1 for any other failure."""
    # A terminated build cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, end_on_signal)
    _check(int8, int8 or fp8, options)
    click.echo(_build(checkpoint, out, {"fp16": fp16, "int8": int8, "fp8": fp8}, options))


def _check(int8: bool, quantised: bool, options: dict[str, Any]) -> None:
    """Refuse options that would do nothing."""
    calib: tuple[Path, ...] = options["calib"]
    if calib and not quantised:
        raise UsageError("--calib is for INT8 and FP8; add --int8 or --fp8")
    if absent := [path for path in calib if not path.exists()]:
        raise UsageError(f"--calib {absent[0]}: no such file or folder; calibration/collect.py writes ranges")
    if len(calib) > 1 and any(map(_is_ranges, calib)):
        raise UsageError("--calib takes recordings, or one ranges.json")
    _check_calibration(calib, options, quantised=quantised)
    plan = next((name for name in PLAN_OPTIONS if options[name]), None)
    builders = {"tensorrt", "tensorrt-rtx", "torch-tensorrt", "all"} & set(options["backends"])
    if options["strict"] and not builders:
        raise UsageError("--strict is for backends that build; add --backend tensorrt-rtx")
    if plan is not None and not builders:
        raise UsageError(f"{_option(plan)} is for TensorRT; add --backend tensorrt")
    portable = {"tensorrt-rtx", "all"} & set(options["backends"])
    if options["targets"] and not portable:
        raise UsageError("--sm is for tensorrt-rtx; add --backend tensorrt-rtx")
    if options["ship_engines"] and not portable:
        raise UsageError("--ship-engines is for tensorrt-rtx; add --backend tensorrt-rtx")
    if options["only"] and options["precision"] == "fp32":
        raise UsageError("--only leaves FP32 out; choose another --precision")
    if options["only"] and {"torch-tensorrt", "all"} & set(options["backends"]):
        raise UsageError("torch-tensorrt runs in FP32, which --only leaves out; name the other backends")
    if options["auto_mixed"] and not int8:
        raise UsageError("--auto-mixed is for INT8; add --int8")


def _check_calibration(calib: tuple[Path, ...], options: dict[str, Any], *, quantised: bool) -> None:
    """Refuse how to calibrate where nothing is, or where something else says it."""
    given = [name for name in CALIBRATION if options[name] is not None]
    if given and not quantised:
        raise UsageError(f"{_option(given[0])} is for INT8 and FP8; add --int8 or --fp8")
    if given and any(map(_is_ranges, calib)):
        raise UsageError(f"{_option(given[0])} would do nothing: the ranges of --calib are there already")
    if "calib_clips" in given and calib:
        raise UsageError("--calib-clips counts training clips; recordings take --calib-seconds")
    if "calib_seconds" in given and not calib:
        raise UsageError("--calib-seconds is of the recordings of --calib; training clips take --calib-clips")


def _option(name: str) -> str:
    return "--sm" if name == "targets" else f"--{name.removesuffix('_mib').replace('_', '-')}"


def _own_precision(
    precisions: tuple[Precision, ...], chosen: Precision, options: dict[str, Any]
) -> Precision:
    """The bundle's own variant.

    Raises:
        UsageError: It isn't built, or would be left out.
    """
    if chosen not in precisions:
        raise UsageError(f"--precision {chosen}: it is not built; there are {', '.join(precisions)}")
    if options["only"] and chosen == "fp32":
        others = [precision for precision in precisions if precision != "fp32"]
        if not others:
            raise UsageError("--only leaves FP32 out, and nothing else is built; add --int8 or --fp16")
        return others[0]
    return chosen


def _is_ranges(path: Path) -> bool:
    return path.suffix.lower() == ".json" and not path.is_dir()


def _build(
    checkpoint: Path | None, out: Path | None, kinds: dict[str, bool], options: dict[str, Any]
) -> Path:
    from emorec_export.bundle import check_target

    if out is not None:
        check_target(out)  # before the imports that take seconds

    from emorec_export.backends import select
    from emorec_export.build import Request
    from emorec_export.variants import exported_precision, wanted
    from emorec_train.model.checkpoint import newest_checkpoint
    from emorec_train.options import data_request

    calib: tuple[Path, ...] = options["calib"]
    how = build_options(**{name: options[name] for name in PLAN_OPTIONS})
    selection = select(options["backends"])
    source = checkpoint or newest_checkpoint(ROOT / "runs")
    target = out or ROOT / "engines" / source.resolve().name
    check_target(target)
    precisions = wanted(**kinds, gpu=bool({"tensorrt", "tensorrt-rtx"} & set(selection.usable)))
    precision = _own_precision(precisions, options["precision"] or exported_precision(precisions), options)
    request = Request(
        out=target,
        name=target.resolve().name,
        precisions=precisions,
        precision=precision,
        only=options["only"],
        auto_mixed=options["auto_mixed"],
        ranges=next(filter(_is_ranges, calib), None),
        recordings=tuple(path for path in calib if not _is_ranges(path)),
        data=data_request(options["data"], None, options["speaker_pattern"]),
        test_clips=options["test_clips"],
        max_drop=options["max_drop"],
        notice=options["notice"],
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        **{field: options[name] for name, field in CALIBRATION.items() if options[name] is not None},
    )
    _run(source, request, selection, how, ship=options["ship_engines"], strict=options["strict"])
    return target


def _run(
    source: Path,
    request: Request,
    selection: Selection,
    how: BuildOptions | None,
    *,
    ship: bool,
    strict: bool,
) -> None:
    from emorec_export.backends import prepare_all
    from emorec_export.build import Console, build
    from emorec_rt.bundle import open_bundle
    from emorec_train.model.checkpoint import load_checkpoint

    checkpoint, progress = load_checkpoint(source), BuildProgress()
    build(checkpoint, request, Console(say=_say, track=_track))
    try:
        bundle = open_bundle(request.out)
        prepare_all(
            checkpoint,
            bundle,
            selection,
            progress.say,
            options=how,
            progress=progress,
            ship=ship,
            strict=strict,
        )
    finally:
        progress.close()


def _say(line: str) -> None:
    click.echo(line, err=True)


def _track(items, label, length):  # type: ignore[no-untyped-def]
    return click.progressbar(items, length=length, label=label, file=sys.stderr)


if __name__ == "__main__":
    main()
