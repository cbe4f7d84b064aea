"""Make a model of labels in words, from CLIP's texts alone: nothing is trained, and no score is measured.

    python train/zero_shot.py --labels "bored,confused,interested" --out runs/interest
    python export/build_engine.py --checkpoint runs/interest --out engines/interest

Other CLIP weights, and prompts of your own::

    python train/zero_shot.py --labels tired,awake --vision ViT-L-14:openai --prompt "a photo of a {} driver"
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes

ROOT = Path(__file__).resolve().parent.parent


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--labels", required=True, metavar="A,B,...", help="Labels in words, with commas.")
@click.option(
    "--prompt",
    "templates",
    multiple=True,
    metavar="TEXT",
    help="A prompt with {} where the label goes; repeatable.  [default: the reference's three]",
)
@click.option(
    "--vision", default="", metavar="WEIGHTS", help="CLIP weights with a text tower: see docs/train.md."
)
@click.option("--offline", is_flag=True, help="Take weights from this machine alone.")
@click.option("--random-encoders", is_flag=True, help="Don't load pretrained weights (to try it out).")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the checkpoint.  [default: runs/zero-shot]",
)
@exit_codes(INSTALL_WORKSHOP)
def main(
    labels: str,
    templates: tuple[str, ...],
    vision: str,
    offline: bool,
    random_encoders: bool,
    out: Path | None,
) -> None:
    """Write the checkpoint, print its folder, exit 0; 2 when the call is wrong, 1 for any other failure."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported
    from emorec_train.cores import use_cores
    from emorec_train.training.encoders import EncoderChoice
    from emorec_train.training.zero_shot import ZeroShot, make_zero_shot

    use_cores()
    folder = out or ROOT / "runs" / "zero-shot"
    make_zero_shot(
        ZeroShot(
            labels=tuple(label.strip() for label in labels.split(",") if label.strip()),
            templates=templates,
            out=folder,
            encoders=EncoderChoice(vision, "", not random_encoders, offline),
            command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        )
    )
    click.echo(folder)


if __name__ == "__main__":
    main()
