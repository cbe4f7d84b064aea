"""Score a checkpoint: macro F1, each class's F1, confusion matrix, a row for each video.

The newest checkpoint in runs/, on the test clips that it was kept from::

    python train/evaluate.py

Smoothing and prior correction chosen on the validation split, kept in the checkpoint, and taken over by
export/build_engine.py into the bundle::

    python train/evaluate.py runs/mine --data affwild2:/data/affwild2 --cache cache/affwild2 --tune
"""

from __future__ import annotations

from pathlib import Path

import click

from emorec_rt.cores import usable_cores
from emorec_rt.errors import UsageError
from emorec_train.options import data_options, data_request, exits, path_option

ROOT = Path(__file__).resolve().parent.parent


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("checkpoint", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--split",
    type=click.Choice(["train", "validation", "test"]),
    default="test",
    show_default=True,
    help="Clips to score; validation, where there is no test split.",
)
@click.option(
    "--tune",
    is_flag=True,
    help="Choose smoothing and prior correction on validation; CHECKPOINT keeps them.",
)
@path_option("--out", help="Folder of the results.  [default: CHECKPOINT-SPLIT beside CHECKPOINT]")
@click.option(
    "--workers", type=click.IntRange(min=1), help="Processes that decode and crop.  [default: one a core]"
)
@data_options
@path_option("--cache", help="Keep the features of data sets here, see train/cache.py.")
@exits
def main(
    checkpoint: Path | None,
    split: str,
    tune: bool,
    out: Path | None,
    workers: int | None,
    data: tuple[str, ...],
    labels: str | None,
    speaker_pattern: str | None,
    cache: Path | None,
) -> None:
    """Score, print a table, write the results, exit 0; 2 when the call is wrong, 1 for any other failure."""
    # Worker processes import this file too; they do without torch.
    import torch

    from emorec_train.evaluation import Evaluation, run_evaluation
    from emorec_train.model.checkpoint import newest_checkpoint

    if labels:
        raise UsageError("--labels are the checkpoint's own here")
    cores = usable_cores()
    torch.set_num_threads(cores)
    request = Evaluation(
        checkpoint=checkpoint or newest_checkpoint(ROOT / "runs"),
        out=out,
        split=split,  # type: ignore[arg-type]  # click's choice
        tune=tune,
        workers=workers or cores,
        data=data_request(data, labels, speaker_pattern),
        cache=cache,
    )
    click.echo(run_evaluation(request))


if __name__ == "__main__":
    main()
