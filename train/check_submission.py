"""Check an ABAW EXPR submission against the challenge's template before it is sent.

    python train/check_submission.py preds.txt --template CVPR_6th_ABAW_Expr_test_set_example.txt

In place of the template, a list with a line ``<video> <frames>`` for each video does too. Exit code 0:
complete; 1: something is missing, doubled, out of order or out of range; 2: the call or template is wrong.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from emorec_rt.errors import EmorecError

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("submission", type=FILE)
@click.option(
    "--template",
    type=FILE,
    required=True,
    help="The challenge's template, or a list with a line '<video> <frames>' for each video.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Videos to name before the rest is only counted.",
)
def main(submission: Path, template: Path, limit: int) -> None:
    """Check, print what is wrong, exit 0, 1 or 2."""
    from emorec_train.submission_check import check_submission
    from emorec_train.submission_reference import read_reference

    try:
        reference = read_reference(template)
        report = check_submission(submission, reference)
    except EmorecError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(2)
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
