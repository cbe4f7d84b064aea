"""``emorec-rt VIDEO...``: emotions over time from video with sound."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from emorec_rt.cli.calling import Call
from emorec_rt.cli.console import FiniteRange, say, silent
from emorec_rt.cli.folder_options import folder_options
from emorec_rt.cli.source_options import parsed, source_options
from emorec_rt.leaving import leave

if TYPE_CHECKING:
    from emorec_rt.account import Account

EXIT_FAILED = 1
EXIT_READER_GONE = 128 + 13
"""What a shell reports of a filter whose reader has closed the pipe (SIGPIPE)."""


@click.command(hidden=True)
@click.argument("inputs", nargs=-1, type=click.Path(path_type=Path), metavar="VIDEO...")
@click.option(
    "--out",
    "-o",
    "outs",
    multiple=True,
    type=click.Path(path_type=Path),
    help="File to write, its suffix sets the format; may be given several times. - is stdout.",
)
@click.option(
    "--out-dir",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder to write the results of each input into, named after it.",
)
@click.option(
    "--format",
    "format_names",
    multiple=True,
    type=click.Choice(["txt", "csv", "jsonl", "srt", "vtt", "mp4", "png", "svg"]),
    help="txt: ABAW rows. csv, jsonl: probabilities, flags and face boxes too. srt, vtt: subtitles. "
    "mp4: annotated video. png, svg: timeline. With --out-dir it may be given several times.",
)
@click.option(
    "--min-segment",
    type=FiniteRange(0.0, 3600.0),
    default=0.5,
    show_default=True,
    metavar="SECONDS",
    help="Shortest subtitle; shorter ones are merged into their neighbours.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Folder from export/build_engine.py.  [default: demo model]",
)
@click.option(
    "--face",
    type=click.Choice(["auto", "require", "off"]),
    default="auto",
    show_default=True,
    help="auto: mask frames without a face; require: fail an input without any; off: use the whole picture.",
)
@click.option("--face-model", type=click.Path(path_type=Path), help="Another YuNet ONNX file.")
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    help="Inference library: tensorrt, onnxruntime-cuda, openvino, onnxruntime; auto takes the fastest that "
    "works here, and says which. By name only: onnxruntime-tensorrt, torch-tensorrt.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "int8", "int8-fp16", "fp8"]),
    help="Variant to run.  [default: the bundle's]",
)
@click.option(
    "--threads", type=click.IntRange(1, 1024), help="Inference threads.  [default: one for each core]"
)
@click.option(
    "--batch-size",
    type=click.IntRange(1, 1024),
    help="Frames in a batch.  [default: 16 on CPUs, more on GPUs; what a TensorRT plan was tuned for]",
)
@folder_options
@source_options
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def run(
    inputs: tuple[Path, ...],
    outs: tuple[Path, ...],
    out_dir: Path | None,
    format_names: tuple[str, ...],
    min_segment: float,
    bundle: Path | None,
    face: str,
    face_model: Path | None,
    backend: str,
    precision: str | None,
    threads: int | None,
    batch_size: int | None,
    quiet: bool,
    lists: tuple[Path, ...],
    resume: bool,
    jobs: int | None,
    vision_fps: float | None,
    skip_similar: float | None,
    summary: Path | None,
    **source: Any,
) -> None:
    """Write the expression of the main face at every frame of each VIDEO.

    VIDEO is a media file (sound alone works too), a folder of them or of numbered pictures, a quoted pattern
    ('day*/**/*.mp4'), a list of all these (@list.txt, one a line, relative to the list), a camera
    (/dev/video0, csi://0 on a Jetson), a stream (rtsp://, http://, udp://, tcp://, srt://), a GStreamer
    pipeline (gst:...), or - for standard input. Without --out or --out-dir, JSON lines go to standard output.
    Exit code: 0 all done, 1 some inputs failed, 2 wrong usage, 141 the reader of standard output has closed
    it.

    \b
    emorec-rt talk.mp4 --out preds.txt
    emorec-rt talk.mp4 --out preds.csv --bundle engines/mine
    emorec-rt talk.mp4 -o preds.csv -o talk.srt -o talk.annotated.mp4 -o timeline.png
    emorec-rt recordings/ --out-dir results --format jsonl --format svg
    emorec-rt @today.txt --out-dir results --resume --jobs 4 --summary results.csv
    """  # noqa: D301 - click reads the \b
    from emorec_rt.account import check_summary_file
    from emorec_rt.frame_encoding import Thinning
    from emorec_rt.inputs import plan
    from emorec_rt.recognizer import Options

    note = silent if quiet else say
    if summary is not None:
        check_summary_file(summary)
    planned = plan(inputs, outs, out_dir, format_names, lists, note)
    options = Options(
        backend=backend,
        precision=precision,  # type: ignore[arg-type]  # click.Choice has checked the three literals
        threads=threads,
        batch_size=batch_size,
        faces=face,  # type: ignore[arg-type]
        face_model=face_model,
        thinning=Thinning(vision_fps, skip_similar),
        source=parsed(source),
    )
    call = Call(
        planned, bundle, options, min_segment, jobs, resume, note, bar=not quiet and sys.stderr.isatty()
    )
    signal.signal(signal.SIGTERM, leave)
    _close(call.run(), note, summary)


def _close(account: Account, note: Callable[[str], None], summary: Path | None) -> None:
    """Give the account, and the exit code that follows from it."""
    from emorec_rt.account import write_summary

    if summary is not None:
        write_summary(account, summary)
    if not account.reader_gone:
        if account.inputs > 1 and (table := account.table()):
            note(table)
        note(account.summary())
    if account.failed:
        raise SystemExit(EXIT_FAILED)
    if account.reader_gone:
        raise SystemExit(EXIT_READER_GONE)
