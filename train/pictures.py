"""Train a visual encoder on labelled still pictures, before it is frozen for the sequence model.

FER+ in one file, with pictures of another set that count less::

    python train/pictures.py --data npz:faces/ferplus.npz --data npz,weight=3,margin=0.2:faces/posed.npz

Pictures in folders named after their class; whole pictures, in which the face is looked for::

    python train/pictures.py --data folder,find=yes:photos --out runs/photos

The last two blocks of a published tower, on AffectNet::

    python train/pictures.py --preset reference --set stills.last_blocks=2 --set stills.grey=false \
        --data affectnet:/data/affectnet --out runs/affectnet

More pictures for an encoder that has learnt already::

    python train/pictures.py --start runs/people-stills --data npz:more.npz --out runs/more

Going on where a run was stopped::

    python train/pictures.py --data npz:faces/ferplus.npz --resume
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_train.data.pictures.opening import READERS, picture_request
from emorec_train.options import chosen_preset, path_option, preset_options
from emorec_train.settings.presets import preset_name

ROOT = Path(__file__).resolve().parent.parent


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@preset_options("people")
@click.option(
    "--data",
    multiple=True,
    required=True,
    metavar="NAME[,OPTION=VALUE...]:PATH",
    help=f"Labelled pictures: {', '.join(READERS)}, and where they lie; repeatable. Options: weight, margin"
    " (that the pictures have around the face), find=yes (look for the face), labels=A+B.",
)
@path_option("--out", help="Folder of the encoder.  [default: runs/PRESET-stills]")
@path_option("--start", help="Folder of an earlier run whose weights it begins with.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order and augmentation.")
@click.option("--resume", is_flag=True, help="Go on with a run of the same call that was stopped.")
@click.option(
    "--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True, help="Where to train."
)
@click.option("--offline", is_flag=True, help="Take published weights from this machine alone.")
@click.option("--random-encoders", is_flag=True, help="Don't load published weights (to try it out).")
@exit_codes(INSTALL_WORKSHOP)
def main(
    preset: str,
    changes: tuple[str, ...],
    data: tuple[str, ...],
    out: Path | None,
    start: Path | None,
    seed: int,
    resume: bool,
    device: str,
    offline: bool,
    random_encoders: bool,
) -> None:
    """Train, print scores, exit 0; 2 when the call or a setting is wrong, 1 for any other failure."""
    requests = tuple(map(picture_request, data))
    settings = chosen_preset(preset, changes)
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported
    from emorec_train.cores import use_cores
    from emorec_train.training.stills.run import StillsRun, train_stills

    use_cores()
    run = StillsRun(
        preset=settings,
        data=requests,
        out=out or ROOT / "runs" / f"{preset_name(preset)}-stills",
        seed=seed,
        device=device,
        resume=resume,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        pretrained=not random_encoders,
        offline=offline,
        start=start,
    )
    train_stills(run)
    click.echo(run.out)


if __name__ == "__main__":
    main()
