"""Train the model and write a checkpoint.

The demo, on two cores, offline, in minutes::

    python train/run.py

The reference's frozen encoders under a fusion for your own data::

    python train/run.py --preset reference --data ravdess:/data/ravdess --cache cache/ravdess

A setting of your own, and going on where that was stopped::

    python train/run.py --set fusion.epochs=30 --resume

Two processes, from a cache that is filled::

    torchrun --nproc-per-node 2 train/run.py --preset reference --data ravdess:/data/ravdess --cache CACHE

The reference at full size (downloads CLIP and wav2vec 2.0 on first use)::

    python train/run.py --preset reference --out runs/reference

Cross-validation by speaker, in one call::

    python train/run.py --preset reference --data ravdess:/data/ravdess --folds 5 --out runs/ravdess-folds

What each part is worth, over five seeds; ``--quick`` shows in a minute or two what comes out::

    python train/run.py --ablate
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import click
import msgspec

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_rt.errors import UsageError
from emorec_train.options import (
    chosen_preset,
    data_options,
    data_request,
    device_option,
    effort_option,
    encoder_options,
    path_option,
    preset_options,
    split_options,
    with_splits,
    workers_option,
)
from emorec_train.settings.fields import Preset
from emorec_train.settings.presets import preset_name

ROOT = Path(__file__).resolve().parent.parent
QUICK_CLIPS, QUICK_EFFORT = 8, 0.02


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@preset_options("demo")
@click.option("--seed", type=int, default=0, show_default=True, help="Of weights, order and augmentation.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the checkpoint.  [default: runs/PRESET]",
)
@click.option(
    "--clips", type=click.IntRange(min=2), help="Training clips; a fifth as many in each other split."
)
@effort_option
@workers_option("draw, decode and crop")
@click.option("--ablate", is_flag=True, help="Train without each part in turn, and compare; no checkpoint.")
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    default=5,
    show_default=True,
    help="--ablate: how many, from --seed on.",
)
@click.option("--quick", is_flag=True, help="--ablate: a tiny trial, two seeds, whose numbers mean nothing.")
@encoder_options
@data_options
@split_options
@click.option(
    "--folds", type=click.IntRange(min=3), metavar="K", help="Cross-validation: train and test K folds."
)
@path_option("--cache", help="Keep the features of frozen encoders here, see train/cache.py.")
@click.option("--resume", is_flag=True, help="Go on with a run of the same call that was stopped.")
@device_option
@path_option("--tensorboard", help="Write curves for TensorBoard here.")
@exit_codes(INSTALL_WORKSHOP)
def main(
    preset: str,
    changes: tuple[str, ...],
    seed: int,
    out: Path | None,
    clips: int | None,
    effort: float,
    workers: int | None,
    ablate: bool,
    seeds: int,
    quick: bool,
    vision: str,
    audio: str,
    offline: bool,
    random_encoders: bool,
    data: tuple[str, ...],
    labels: str | None,
    speaker_pattern: str | None,
    shared_speakers: bool,
    fold: str | None,
    folds: int | None,
    cache: Path | None,
    resume: bool,
    device: str,
    tensorboard: Path | None,
) -> None:
    """Train, print test scores, exit 0; 2 when the call or a setting is wrong, 1 for any other failure."""
    # Worker processes import this file too; they do without torch.

    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported
    from emorec_train.cores import use_cores
    from emorec_train.training.encoders import EncoderChoice
    from emorec_train.training.run import Run, train

    if quick:
        if not ablate:
            raise UsageError("--quick goes with --ablate; --effort and --clips shorten a training")
        clips, effort, seeds = clips or QUICK_CLIPS, effort * QUICK_EFFORT, 2
    if ablate and folds:
        raise UsageError("--ablate and --folds are two calls; --fold I/K ablates one fold")
    if ablate and tensorboard:
        raise UsageError("--tensorboard goes with a training, not with --ablate")
    cores = use_cores()
    run = Run(
        preset=_scaled(chosen_preset(preset, changes), clips, effort),
        seed=seed,
        out=out or ROOT / "runs" / f"{preset_name(preset)}{'-ablation' if ablate else ''}",
        workers=workers or cores,
        command=shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        encoders=EncoderChoice(vision, audio, not random_encoders, offline),
        data=with_splits(
            data_request(data, labels, speaker_pattern), shared_speakers=shared_speakers, fold=fold
        ),
        cache=cache,
        resume=resume,
        device=device,
        tensorboard=tensorboard,
    )
    if ablate:
        from emorec_train.training.ablation import ablate as compare

        compare(run, range(seed, seed + seeds))
    elif folds:
        from emorec_train.training.folds import train_folds

        train_folds(run, folds)
    else:
        train(run)
    if os.environ.get("RANK", "0") == "0":
        click.echo(run.out)


def _scaled(preset: Preset, clips: int | None, effort: float) -> Preset:
    replace = msgspec.structs.replace
    return replace(
        preset,
        clips=clips or preset.clips,
        faces=round(preset.faces * effort),
        vision=replace(preset.vision, steps=round(preset.vision.steps * effort)),
        audio=replace(preset.audio, steps=round(preset.audio.steps * effort)),
        fusion=replace(preset.fusion, epochs=max(1, round(preset.fusion.epochs * effort))),
    )


if __name__ == "__main__":
    main()
