"""Make the features of frozen encoders once, so that every training after that starts from them.

    python train/cache.py --data ravdess:/data/ravdess --preset reference --out cache/ravdess
    python train/run.py --data ravdess:/data/ravdess --preset reference --cache cache/ravdess

May be stopped, or killed, and started again: finished clips are skipped.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from emorec_rt.cli.exits import INSTALL_WORKSHOP, exit_codes
from emorec_rt.errors import UsageError
from emorec_train.options import (
    chosen_preset,
    data_options,
    data_request,
    device_option,
    encoder_options,
    preset_options,
    split_options,
    with_splits,
    workers_option,
)


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@data_options
@split_options
@preset_options("reference")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the cache; one that is there already is completed.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of random weights.")
@click.option(
    "--storage",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="float16 takes half the room, and rounds.",
)
@click.option("--remake", is_flag=True, help="Throw away what a cache of other settings holds.")
@workers_option("decode and crop")
@encoder_options
@device_option
@exit_codes(INSTALL_WORKSHOP)
def main(
    data: tuple[str, ...],
    labels: str | None,
    speaker_pattern: str | None,
    shared_speakers: bool,
    fold: str | None,
    preset: str,
    changes: tuple[str, ...],
    out: Path,
    seed: int,
    storage: str,
    remake: bool,
    workers: int | None,
    vision: str,
    audio: str,
    offline: bool,
    random_encoders: bool,
    device: str,
) -> None:
    """Fill the cache, print its folder, exit 0; 2 when the call is wrong, 1 for any other failure."""
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read when the libraries are imported
    from emorec_train.cores import use_cores
    from emorec_train.training.cache import CacheRun, make_cache
    from emorec_train.training.encoders import EncoderChoice

    cores = use_cores()
    request = with_splits(
        data_request(data, labels, speaker_pattern), shared_speakers=shared_speakers, fold=fold
    )
    if request is None:
        raise UsageError("give --data NAME:PATH")
    make_cache(
        CacheRun(
            preset=chosen_preset(preset, changes),
            data=request,
            out=out,
            seed=seed,
            workers=workers or cores,
            encoders=EncoderChoice(vision, audio, not random_encoders, offline),
            device=device,
            storage="float16" if storage == "float16" else "float32",
            remake=remake,
        )
    )
    click.echo(out)


if __name__ == "__main__":
    main()
