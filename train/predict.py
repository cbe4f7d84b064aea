"""Make one ABAW EXPR submission with a checkpoint, from the challenge's own crops and videos.

    python train/predict.py runs/affwild2 --data affwild2:/data/affwild2 --template T.txt --out preds.txt

The sequences are the template's, with _left and _right. Crops and sound go through what training and
train/evaluate.py take, and each frame gets its label, faceless ones too. With --cache, what is encoded stays,
and a call that was stopped goes on from there. train/check_submission.py checks the result.
"""

from __future__ import annotations

from pathlib import Path

import click

from emorec_rt.cores import usable_cores
from emorec_train.options import exits, path_option, slack_option


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("checkpoint", type=click.Path(path_type=Path, file_okay=False))
@click.option("--data", required=True, metavar="affwild2:PATH", help="Where crops and videos lie.")
@click.option(
    "--template",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    required=True,
    help="The challenge's template, or a list with a line '<video> <frames>' for each video.",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The submission.")
@slack_option
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that decode and crop.  [default: one a core]"
)
@path_option("--cache", help="Keep the features here, see train/cache.py.")
@exits
def main(
    checkpoint: Path,
    data: str,
    template: Path,
    out: Path,
    slack: int,
    workers: int | None,
    cache: Path | None,
) -> None:
    """Predict, print the file's name, exit 0; 2 when the call is wrong, 1 for any other failure."""
    # Worker processes import this file too; they do without torch.
    import torch

    from emorec_train.submission_predict import SubmissionRequest, predict_submission

    cores = usable_cores()
    torch.set_num_threads(cores)
    request = SubmissionRequest(checkpoint, data, template, out, workers or cores, slack, cache)
    click.echo(f"{out}: {predict_submission(request)} videos")


if __name__ == "__main__":
    main()
