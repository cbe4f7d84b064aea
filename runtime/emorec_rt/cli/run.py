"""``emorec-rt VIDEO...``: emotions over time from video with sound."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from emorec_rt.cli.console import FacesType, is_terminal, say, silent
from emorec_rt.cli.execution import Call, execute
from emorec_rt.cli.folder_options import folder_options
from emorec_rt.cli.groups import GroupedCommand, complete_backends
from emorec_rt.cli.result_options import result_options
from emorec_rt.cli.settings import options_of
from emorec_rt.cli.source_options import source_options
from emorec_rt.constants import EXIT_FAILED, EXIT_READER_GONE, PRECISIONS
from emorec_rt.machine.memory import PROGRAM_MB, require_address_space
from emorec_rt.machine.signals import end_on_signal

if TYPE_CHECKING:
    from emorec_rt.jobs.plan import Job
    from emorec_rt.jobs.summary import Totals

FORMAT_NAMES = (
    "txt",
    "va.txt",
    "au.txt",
    "csv",
    "jsonl",
    "parquet",
    "segments.csv",
    "json",
    "lines",
    "srt",
    "vtt",
    "eaf",
    "TextGrid",
    "boris.csv",
    "html",
    "mp4",
    "png",
    "svg",
)


GROUPS: Final = {
    "Results": (
        *("outs", "out_dir", "format_names", "min_segment_seconds", "every_seconds", "embed", "summary"),
        "quiet",
    ),
    "Model": ("bundle", "precision", "backend", "measure", "threads", "batch_size"),
    "Faces": ("face", "faces", "speakers", "face_model"),
    "Many inputs": ("lists", "resume", "jobs", "gpus"),
    "Doing less": ("keep_up", "vision_fps"),
    "Inputs": (
        "decoder",
        "fps",
        "start_seconds",
        "end_seconds",
        "region",
        "video_track",
        "audio_track",
        "max_pixels",
    ),
    "Cameras and streams": (
        *("camera_size", "camera_fps", "rtsp_transport"),
        *("open_seconds", "read_seconds", "reconnect_seconds"),
    ),
}
"""Headings of ``--help``, and the options below each."""


@click.command(
    hidden=True,
    cls=GroupedCommand,
    groups=GROUPS,
    context_settings={"help_option_names": ["-h", "--help"]},
)
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
    type=click.Choice(FORMAT_NAMES),
    help="txt: ABAW rows. csv, jsonl, parquet: probabilities, flags and face boxes too. segments.csv, json, "
    "lines: runs of one label. srt, vtt: subtitles. eaf: ELAN. TextGrid: Praat. boris.csv: BORIS. html: a "
    "page to look through. mp4: annotated video. png, svg: timeline. With --out-dir several may be given.",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Folder from export/build_engine.py.  [default: default model]",
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
    "--faces",
    type=FacesType(),
    default="main",
    show_default=True,
    help="main: the main face, a row for each frame; all: everyone, with identities and rows of their own; "
    "a number: so many at once.",
)
@click.option(
    "--speakers",
    type=click.Path(path_type=Path),
    metavar="FILE.rttm",
    help="Who speaks when, from any diarisation tool; without, the face whose mouth moves has the sound.",
)
@click.option(
    "--backend",
    default="auto",
    show_default=True,
    shell_complete=complete_backends,
    help="Inference library: tensorrt, tensorrt-rtx, onnxruntime-cuda, openvino, onnxruntime; auto takes the "
    "fastest that works here, and says which. By name only: onnxruntime-tensorrt, torch-tensorrt, triton://HOST:PORT.",
)
@click.option(
    "--measure/--no-measure",
    default=True,
    help="Whether auto may time the CPU's libraries with a large bundle, once, in 5 s at most.",
)
@click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
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
@result_options
@folder_options
@source_options
@click.option("--quiet", "-q", is_flag=True, help="Print errors only.")
def run(
    inputs: tuple[Path, ...],
    outs: tuple[Path, ...],
    out_dir: Path | None,
    format_names: tuple[str, ...],
    bundle: Path | None,
    lists: tuple[Path, ...],
    resume: bool,
    jobs: int | None,
    summary: Path | None,
    quiet: bool,
    **settings: Any,
) -> None:
    """Write the expression of the main face at every frame of each VIDEO.

    VIDEO is a media file (sound alone works too), a folder of them or of numbered pictures, a quoted pattern
    ('day*/**/*.mp4'), a list of all these (@list.txt, one a line, relative to the list), a camera
    (/dev/video0, csi://0 on a Jetson), a stream (rtsp://, http://, udp://, tcp://, srt://), a GStreamer
    pipeline (gst:...), or - for standard input. Without --out or --out-dir, JSON lines go to standard
    output; a terminal gets a line for each run of one label. Exit code: 0 all done, 1 some inputs failed,
    2 wrong usage, 141 the reader of standard output has closed it.

    \b
    emorec-rt talk.mp4 --out preds.txt
    emorec-rt talk.mp4 --out preds.csv --bundle engines/mine
    emorec-rt talk.mp4 -o preds.csv -o talk.srt -o talk.annotated.mp4 -o timeline.png
    emorec-rt interview.mp4 -o interview.html -o interview.eaf -o interview.segments.csv
    emorec-rt recordings/ --out-dir results --format jsonl --format svg
    emorec-rt @today.txt --out-dir results --resume --jobs 4 --summary results.csv
    """  # noqa: D301 - click reads the \b
    require_address_space("emorec-rt", PROGRAM_MB)
    from emorec_rt.jobs.plan import plan
    from emorec_rt.jobs.select import all_lists
    from emorec_rt.jobs.summary import check_summary_file

    note = silent if quiet else say
    planned = plan(inputs, outs, out_dir, format_names, lists, note, terminal=is_terminal(sys.stdout))
    if summary is not None:
        check_summary_file(summary, planned, all_lists(inputs, lists))
    options, output = options_of(settings)
    bar = not quiet and is_terminal(sys.stderr) and not _shown(planned)
    call = Call(planned, bundle, options, output, jobs, resume, quiet, bar)
    signal.signal(signal.SIGTERM, end_on_signal)
    close(execute(call), note, summary)


def _shown(planned: Sequence[Job]) -> bool:
    """Say whether results appear on the terminal, where a bar would get into them."""
    from emorec_rt.writers import STDOUT

    return is_terminal(sys.stdout) and any(o.target == STDOUT for job in planned for o in job.outputs)


def close(totals: Totals, note: Callable[[str], None], summary: Path | None) -> None:
    """Give the totals, and the exit code that follows from them."""
    from emorec_rt.jobs.summary import write_summary

    if summary is not None:
        write_summary(totals, summary)
    if not totals.reader_gone:
        if totals.inputs > 1 and (table := totals.table()):
            note(table)
        for outcome in totals.outcomes if totals.inputs == 1 else ():
            if outcome.summary is not None:
                note(f"{outcome.name}: {outcome.summary.line()}")
        note(totals.summary())
    if totals.failed:
        raise SystemExit(EXIT_FAILED)
    if totals.reader_gone:
        raise SystemExit(EXIT_READER_GONE)
