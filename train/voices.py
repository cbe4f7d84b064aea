"""Train the sound encoder of people: a small network learns from a large one.

::

    python train/voices.py --data ../data --teacher smart-turn-v3.2-cpu.onnx --out runs/voices

``--data`` holds ``voices`` (acted, labelled) and ``speech`` (natural, and noises), each with a manifest.
A run that is stopped goes on when it is called again. On two cores it takes about 45 minutes.
"""

from __future__ import annotations

from pathlib import Path

import click
import torch

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_train.training.sound_distill import DistillSettings
from emorec_train.training.sound_encoder import make_sound_encoder

DEFAULTS = DistillSettings()


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Folder of voices and speech.")
@click.option("--teacher", type=click.Path(path_type=Path), required=True, help="ONNX file of the teacher.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write to.")
@click.option("--start", type=click.Path(path_type=Path), help="Encoder whose weights it begins with.")
@click.option("--steps", type=click.IntRange(1), default=DEFAULTS.steps, show_default=True)
@click.option("--batch", type=click.IntRange(1), default=DEFAULTS.batch, show_default=True)
@click.option("--rate", type=float, default=DEFAULTS.learning_rate, show_default=True, help="Peak rate.")
@click.option("--seed", type=click.IntRange(0), default=DEFAULTS.seed, show_default=True)
@click.option("--device", default="cpu", show_default=True, help="cpu or cuda.")
@exit_codes(INSTALL_WORKSHOP)
def main(
    data: Path,
    teacher: Path,
    out: Path,
    start: Path | None,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    device: str,
) -> None:
    """Train; one line says what fails."""
    settings = DistillSettings(steps=steps, batch=batch, learning_rate=rate, seed=seed)
    make_sound_encoder(data, teacher, out, settings, torch.device(device), start)


if __name__ == "__main__":
    main()
