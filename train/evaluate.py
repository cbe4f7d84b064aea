"""Score a checkpoint, or the average of several: macro F1, UAR, F1 of each class, videos, speakers.

The newest checkpoint in runs/, on the test clips that it was kept from::

    python train/evaluate.py

Smoothing and prior correction chosen on the validation split, kept in the checkpoint, and taken over by
export/build_engine.py into the bundle::

    python train/evaluate.py runs/mine --data affwild2:/data/affwild2 --cache cache/affwild2 --tune

An ensemble, which train/submission.py takes then like a checkpoint::

    python train/evaluate.py runs/one runs/two runs/three --cache cache/affwild2 --tune --out runs/ensemble
"""

from __future__ import annotations

from pathlib import Path

import click

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_rt.errors import UsageError
from emorec_train.options import (
    cache_option,
    data_options,
    data_request,
    device_option,
    path_option,
    workers_option,
)

ROOT = Path(__file__).resolve().parent.parent


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.argument("checkpoints", nargs=-1, type=click.Path(path_type=Path, file_okay=False))
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
    help="Choose smoothing and prior correction on validation, and keep them.",
)
@path_option("--out", help="Folder of the results.  [default: CHECKPOINT-SPLIT beside CHECKPOINT]")
@workers_option("decode and crop")
@data_options
@cache_option
@device_option
@exit_codes(INSTALL_WORKSHOP)
def main(
    checkpoints: tuple[Path, ...],
    split: str,
    tune: bool,
    out: Path | None,
    workers: int | None,
    data: tuple[str, ...],
    labels: str | None,
    speaker_pattern: str | None,
    caches: tuple[Path, ...],
    device: str,
) -> None:
    """Score, print a table, write the results, exit 0; 2 when the call is wrong, 1 for any other failure."""
    # Worker processes import this file too; they do without torch.

    from emorec_train.cores import use_cores
    from emorec_train.evaluation.run import Evaluation, run_evaluation
    from emorec_train.model.checkpoint import newest_checkpoint

    if labels:
        raise UsageError("--labels are the checkpoint's own here")
    cores = use_cores()
    request = Evaluation(
        checkpoints=checkpoints or (newest_checkpoint(ROOT / "runs"),),
        out=out,
        split=split,  # type: ignore[arg-type]  # click's choice
        tune=tune,
        workers=workers or cores,
        data=data_request(data, labels, speaker_pattern),
        caches=caches,
        device=device,
    )
    click.echo(run_evaluation(request))


if __name__ == "__main__":
    main()
