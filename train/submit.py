"""Make one ABAW EXPR submission of the predictions for all videos of the challenge's template.

    emorec-rt test_videos/ --bundle engines/mine --format txt --out-dir predictions
    python train/submit.py predictions/*.txt --template template.txt --out preds.txt

Classes are mapped by the names in each file's header; a video that was decoded to a few frames more or fewer
than the template lists (--slack) is cut or has its last label repeated. train/check_submission.py checks the
result.
"""

from __future__ import annotations

from pathlib import Path

import click

from emorec_train.options import exits, slack_option

FILE = click.Path(path_type=Path, exists=True, dir_okay=False)


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("predictions", nargs=-1, required=True, type=FILE)
@click.option(
    "--template",
    type=FILE,
    required=True,
    help="The challenge's template, or a list with a line '<video> <frames>' for each video.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The submission.")
@slack_option
@exits
def main(predictions: tuple[Path, ...], template: Path, out: Path, slack: int) -> None:
    """Write, print the file's name, exit 0; 1 when something is missing or can't be written."""
    from emorec_train.submission_merge import merge_predictions
    from emorec_train.submission_reference import read_reference

    videos = merge_predictions(predictions, read_reference(template), out, slack)
    click.echo(f"{out}: {videos} videos")


if __name__ == "__main__":
    main()
