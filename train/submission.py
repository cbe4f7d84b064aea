"""Make and check ABAW EXPR submissions.

With a checkpoint, from the challenge's own crops and videos::

    python train/submission.py predict runs/aff --data affwild2:/data/aff --template T.txt --out preds.txt

From the files that the installed runtime writes for each video::

    emorec-rt test_videos/ --bundle engines/mine --format txt --out-dir predictions
    python train/submission.py merge predictions/*.txt --template T.txt --out preds.txt

Before a file is sent::

    python train/submission.py check preds.txt --template T.txt
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_rt.constants import EXIT_USAGE
from emorec_train.options import (
    cache_option,
    device_option,
    slack_option,
    template_option,
    workers_option,
)

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)
out_option = click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The submission."
)


@click.group(help=(__doc__ or "").split("\n", 1)[0])
def main() -> None:
    """Hold the three commands."""


@main.command()
@click.argument("checkpoints", nargs=-1, required=True, type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", required=True, metavar="affwild2:PATH", help="Folder of crops and videos.")
@template_option
@out_option
@slack_option
@workers_option("decode and crop")
@cache_option
@device_option
@exit_codes(INSTALL_WORKSHOP)
def predict(
    checkpoints: tuple[Path, ...],
    data: str,
    template: Path,
    out: Path,
    slack: int,
    workers: int | None,
    caches: tuple[Path, ...],
    device: str,
) -> None:
    """Predict the template's sequences with a checkpoint, an ensemble, or the average of several checkpoints.

    Crops and sound go through the steps of training and evaluation. Each frame gets a label, faceless ones
    too. With --cache, features are kept, and a call that was stopped goes on from there. Exit code 0; 2 when
    the call is wrong, 1 for any other failure.
    """
    # Worker processes import this file too; they do without torch.

    from emorec_train.cores import use_cores
    from emorec_train.submission.predict import SubmissionRequest, predict_submission

    cores = use_cores()
    request = SubmissionRequest(checkpoints, data, template, out, workers or cores, slack, caches, device)
    click.echo(f"{out}: {predict_submission(request)} videos")


@main.command()
@click.argument("predictions", nargs=-1, required=True, type=FILE)
@template_option
@out_option
@slack_option
@exit_codes(INSTALL_WORKSHOP)
def merge(predictions: tuple[Path, ...], template: Path, out: Path, slack: int) -> None:
    """Merge the files that emorec-rt --format txt writes into one submission.

    Classes are mapped by the names in each file's header. A video that was decoded to a few frames more or
    fewer than the template lists (--slack) is cut or has its last label repeated. Exit code 0; 1 when
    something is missing or can't be written.
    """
    from emorec_train.data.datasets.template import read_reference
    from emorec_train.submission.merge import merge_predictions

    videos = merge_predictions(predictions, read_reference(template), out, slack)
    click.echo(f"{out}: {videos} videos")


@main.command()
@click.argument("submission", type=FILE)
@template_option
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Videos to name before the rest is only counted.",
)
@exit_codes(INSTALL_WORKSHOP, failed=EXIT_USAGE)
def check(submission: Path, template: Path, limit: int) -> None:
    """Compare a submission with the template.

    Exit code 0: complete; 1: something is missing, doubled, out of order or out of range; 2: the call or the
    template is wrong.
    """
    from emorec_train.data.datasets.template import read_reference
    from emorec_train.submission.check import check_submission

    reference = read_reference(template)
    report = check_submission(submission, reference)
    for line in (*report.findings, *report.by_video[:limit]):
        click.echo(line)
    if len(report.by_video) > limit:
        click.echo(f"... and {len(report.by_video) - limit} more videos")
    verdict = "complete" if report.complete else "NOT complete"
    videos = f"{report.videos} of {len(reference.frames)} videos"
    click.echo(f"{submission}: {report.rows:,} rows, {videos}: {verdict}")
    sys.exit(0 if report.complete else 1)


if __name__ == "__main__":
    main()
