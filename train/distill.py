"""Train a small model that does as a large one does, on clips without labels.

On any videos of people, two small towers under the large model's fusion::

    python train/distill.py --teacher runs/reference --data clips:/data/videos --out runs/small

The larger size of the visual tower, on the clips that the teacher has learnt from::

    python train/distill.py --teacher runs/reference --visual edge-m

The result is an ordinary checkpoint, for ``train/evaluate.py`` and ``export/build_engine.py``; in it,
``students.json`` compares it with its teacher.
"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import click

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_train.options import effort_option, workers_option

SIZES = ("edge-s", "edge-m")


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option(
    "--teacher",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Checkpoint of the large model.",
)
@click.option("--visual", type=click.Choice(SIZES), default="edge-s", show_default=True, help="Visual tower.")
@click.option("--audio", type=click.Choice(SIZES), default="edge-s", show_default=True, help="Sound tower.")
@click.option(
    "--data",
    multiple=True,
    metavar="NAME:PATH",
    help="clips:FOLDER of any videos, or data sets as for train/run.py.  [default: the teacher's clips]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the checkpoint.  [default: the teacher's, with -VISUAL]",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order and augmentation.")
@effort_option
@workers_option("decode and crop")
@click.option("--resume", is_flag=True, help="Go on with a run of the same call that was stopped.")
@exit_codes(INSTALL_WORKSHOP)
def main(
    teacher: Path,
    visual: str,
    audio: str,
    data: tuple[str, ...],
    out: Path | None,
    seed: int,
    effort: float,
    workers: int | None,
    resume: bool,
) -> None:
    """Train, print the comparison, exit 0; 2 when the call is wrong, 1 for any other failure."""
    from emorec_train.cores import use_cores
    from emorec_train.settings.students import StudentSettings
    from emorec_train.training.students import StudentRun, distill_students

    cores = use_cores()
    run = StudentRun(
        teacher=teacher,
        out=out or teacher.with_name(f"{teacher.name}-{visual}"),
        visual=visual,
        audio=audio,
        data=data,
        settings=StudentSettings().scaled(effort),
        seed=seed,
        workers=workers or cores,
        resume=resume,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
    )
    distill_students(run)
    click.echo(run.out)


if __name__ == "__main__":
    main()
