"""Worth of each part of the architecture on real faces and voices, paired by label.

    python benchmarks/people_ablation.py --data ../data --run runs/default
    python benchmarks/people_ablation.py --data ../data --run runs/default --seeds 2 --epochs 1  # to try it

Encoders are those of the default model, frozen; each variant and seed trains a fusion of its own on the same
clips, which ``export/make_default.py`` puts together too. Speakers and pictures of training and validation
are apart. The result goes to ``benchmarks/results/people_ablation.json``.
"""

from __future__ import annotations

import shlex
import sys
import tempfile
from pathlib import Path

import click
import msgspec
from machine import save

from emorec_train.settings.presets import find_preset
from emorec_train.training.ablation import NO_TEST_SPLIT, Fusions, summary, table
from emorec_train.training.people.run import PeopleRun, prepare_people
from emorec_train.training.processes import join_processes


@click.command(help=(__doc__ or "").split("\n", 1)[0])
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True)
@click.option(
    "--run",
    "folder",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    required=True,
    help="Encoders of export/make_default.py, and its features where they are there.",
)
@click.option("--clips", type=click.IntRange(10), default=400, show_default=True, help="To learn from.")
@click.option("--epochs", type=click.IntRange(1), default=8, show_default=True)
@click.option("--seeds", type=click.IntRange(2), default=3, show_default=True)
def main(data: Path, folder: Path, clips: int, epochs: int, seeds: int) -> None:
    """Train every variant, print, save."""
    replace, preset = msgspec.structs.replace, find_preset("people")
    run = PeopleRun(
        preset=replace(preset, clips=clips, fusion=replace(preset.fusion, epochs=epochs)),
        data=data.resolve(),
        pictures=folder / "pictures",
        voices=folder / "voices",
        out=folder / "ablation",
        cache=folder / "features",
    )
    ready = prepare_people(run)
    with join_processes("cpu") as processes, tempfile.TemporaryDirectory(prefix="emorec-") as state:
        learns = replace(run.preset, model=ready.config)
        fusions = Fusions(learns, ready.windows, ready.prototypes, Path(state), False, processes)
        found = summary(fusions.scores(range(seeds)))
    found["verdicts"].append(NO_TEST_SPLIT)
    result = {
        "command": shlex.join(
            [
                f"benchmarks/{Path(sys.argv[0]).name}",
                "--data",
                "DATA",
                "--run",
                "RUN",
                "--epochs",
                str(epochs),
            ]
        ),
        "split": "validation",
        "clips": {split: len(own) for split, own in ready.windows.items()},
        "epochs": epochs,
        "seeds": list(range(seeds)),
        **found,
    }
    click.echo(table(result))
    click.echo(f"saved {save('people_ablation', result)}")


if __name__ == "__main__":
    main()
